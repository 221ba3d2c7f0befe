/** Returns what has the focus in an element's root: the document, or the shadow root that a host page keeps it in. */

type Place = Document | ShadowRoot;

export function placeOf(element: Element): Place {
  return element.getRootNode() as Place;
}

export function focusedIn(place: Place): Element | null {
  return place.activeElement;
}

/** Nothing has the focus: in a document its body has it then, in a shadow root none. */
export function nothingFocused(place: Place): boolean {
  return place.activeElement === null || place.activeElement === document.body;
}
