/** Scroller of the history: ties anchor, slice, divider and receipts to one another. */

import { type FocusEvent, type RefObject, useCallback, useLayoutEffect, useReducer, useRef, useState } from "react";
import type { Client, ConversationSnapshot } from "@chatd/client";
import { dividerAfter, NO_DIVIDER } from "./divider.js";
import { useHighlight, useJumps } from "./scroll-jumps.js";
import { useAttention, useDividerEvents, useKeeping, useOpening, useSizes } from "./scroll-life.js";
import { useLook } from "./scroll-look.js";
import { keepFocus, missedOf, ScrollState } from "./scroll-state.js";
import { newestSlice, type Slice } from "./slice.js";

const KEEP_PLACE_MS = 200;

export interface ScrollerSources {
  readonly client: Client;
  readonly snapshot: ConversationSnapshot;
  readonly target: { readonly seq: number } | null;
  readonly sends: number;
  readonly escapes: number;
  readonly view: RefObject<HTMLDivElement | null>;
  readonly content: RefObject<HTMLDivElement | null>;
}

export interface Scroller {
  readonly slice: Slice;
  /** The first new message's seq. */
  readonly divider: number | null;
  readonly highlighted: number | null;
  /** Number of others' messages that came while the reader was further up. */
  readonly missed: number;
  readonly atNewest: boolean;
  /** The key of the message that had the focus last. */
  readonly current: string | null;
  readonly onScroll: () => void;
  readonly onFocus: (event: FocusEvent<HTMLElement>) => void;
  readonly jumpTo: (seq: number) => void;
  readonly jumpToNewest: () => void;
}

export function useScroller(sources: ScrollerSources): Scroller {
  const { client, snapshot, target, sends, escapes, view, content } = sources;
  const { id, lastSeq } = snapshot;
  const [slice, setSlice] = useState<Slice>(() => newestSlice({ first: 1, last: lastSeq }));
  const [divider, tellDivider] = useReducer(dividerAfter, NO_DIVIDER);
  const [highlighted, setHighlighted] = useHighlight();
  const [atNewest, setAtNewest] = useState(true);
  /** The newest seq when the reader was last at the bottom. */
  const [bottomSeq, setBottomSeq] = useState(lastSeq);
  const [state] = useState(() => new ScrollState(snapshot, slice));

  const { goTo, goToNewest } = useJumps(state, client, id, setSlice);
  const { look, lookSoon } = useLook({ state, client, id, view, setSlice, setBottomSeq, setAtNewest, tellDivider });
  const keep = useKeeping(state, id);
  useSizes(state, view, content, lookSoon, keep);
  useAttention(state, { client, id, lookSoon, keep, tellDivider });
  useOpening(state, { snapshot, slice, target, goTo, tellDivider });
  useLayoutEffect(() => {
    if (target) goTo(target.seq, undefined, true);
  }, [target, goTo]);

  // After each change, of whatever: what was under the eye stays there.
  useLayoutEffect(() => {
    const element = view.current;
    if (!state.anchor || !element) return;
    state.anchor.atNewest = slice.high === null && snapshot.atEnd;
    const reached = putBack(state, element);
    if (reached !== null) setHighlighted(reached);
    keepFocus(element, state.focused);
    lookSoon();
  });
  useDividerEvents(state, { snapshot, sends, escapes, atNewest, view, goToNewest, tellDivider });

  const { current, onFocus } = useFocused(state);
  const keepTimer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const onScroll = useCallback(() => {
    if (state.pending) return;
    state.anchor?.note();
    look();
    clearTimeout(keepTimer.current);
    keepTimer.current = setTimeout(keep, KEEP_PLACE_MS);
  }, [state, look, keep]);
  const jumpTo = useCallback(
    (seq: number) => {
      goTo(seq, undefined, true);
    },
    [goTo],
  );

  const missed = atNewest ? 0 : missedOf(snapshot, bottomSeq);
  const { seq } = divider;
  return {
    slice,
    divider: seq,
    highlighted,
    missed,
    atNewest,
    current,
    onScroll,
    onFocus,
    jumpTo,
    jumpToNewest: goToNewest,
  };
}

/** Goes where a jump leads, where that is in the document; else nothing moves. Returns what is to be highlighted. */
function putBack(state: ScrollState, view: HTMLElement): number | null {
  const { anchor, pending } = state;
  if (!anchor) return null;
  if (pending?.to === "newest" && anchor.atNewest) {
    state.pending = null;
    anchor.toBottom();
    return null;
  }
  if (pending?.to === "seq") {
    const row = view.querySelector<HTMLElement>(`[data-seq="${pending.seq}"]`);
    const before = row?.previousElementSibling;
    const shown = before?.hasAttribute("data-divider") ? (before as HTMLElement) : row;
    if (anchor.show(shown, pending.offset)) {
      state.pending = null;
      return pending.highlight ? pending.seq : null;
    }
  }
  anchor.restore();
  return null;
}

/** The message that had the focus last: the tab stop of the list. */
function useFocused(state: ScrollState): Pick<Scroller, "current" | "onFocus"> {
  const [current, setCurrent] = useState<string | null>(null);
  const onFocus = useCallback(
    (event: FocusEvent<HTMLElement>) => {
      const row = event.target.closest<HTMLElement>("article");
      setCurrent(row?.dataset["key"] ?? null);
      state.focused = row ? { element: event.target, seq: Number(row.dataset["seq"] ?? 0) } : null;
    },
    [state],
  );
  return { current, onFocus };
}
