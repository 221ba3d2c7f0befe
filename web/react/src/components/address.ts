/** The address under which a conversation is on screen, on the page that is open. */
export function addressOf(conversation: string | null): string {
  const here = location.pathname + location.search;
  return conversation === null ? here : `${here}#conversation=${encodeURIComponent(conversation)}`;
}
