/** The life of the history's view: sizes, attention, opening, and keeping the place when it goes. */

import { type Dispatch, type RefObject, useCallback, useEffect, useLayoutEffect, useRef } from "react";
import type { Client, ConversationSnapshot } from "@chatd/client";
import { Anchor } from "./anchor.js";
import type { DividerEvent } from "./divider.js";
import { isAttentive, rowsOnScreen } from "./on-screen.js";
import { keepPlace, keptPlace, openingOf } from "./place.js";
import type { GoTo } from "./scroll-jumps.js";
import { firstUnreadOf, type ScrollState } from "./scroll-state.js";
import type { Slice } from "./slice.js";

type View = RefObject<HTMLDivElement | null>;

/** Keeps where the reader stands, for the next time. */
export function useKeeping(state: ScrollState, id: string): () => void {
  return useCallback(() => {
    if (!state.anchor || !state.opened) return;
    const place = state.anchor.following ? null : state.anchor.place();
    const readSeq = Math.max(state.snapshot.me?.read_seq ?? 0, state.maxSeen);
    keepPlace(id, place && { ...place, readSeq });
  }, [state, id]);
}

export function useSizes(state: ScrollState, view: View, content: View, lookSoon: () => void, keep: () => void): void {
  useLayoutEffect(() => {
    const element = view.current;
    if (!element || !content.current) return;
    state.anchor ??= new Anchor(element);
    const sizes = new ResizeObserver(() => {
      state.anchor?.restore();
      lookSoon();
    });
    sizes.observe(element);
    sizes.observe(content.current);
    return () => {
      keep();
      sizes.disconnect();
    };
  }, [state, view, content, lookSoon, keep]);
}

export interface AttentionDuties {
  readonly client: Client;
  readonly id: string;
  readonly lookSoon: () => void;
  readonly keep: () => void;
  readonly tellDivider: Dispatch<DividerEvent>;
}

export function useAttention(state: ScrollState, { client, id, lookSoon, keep, tellDivider }: AttentionDuties): void {
  useEffect(() => {
    const seen = client.seen(id);
    state.watch = seen;
    lookSoon();
    const attentive = () => {
      if (isAttentive()) tellDivider({ type: "attentive" });
      lookSoon();
    };
    window.addEventListener("focus", attentive);
    window.addEventListener("pagehide", keep);
    return () => {
      window.removeEventListener("focus", attentive);
      window.removeEventListener("pagehide", keep);
      state.watch = null;
      seen.stop();
    };
  }, [state, client, id, keep, lookSoon, tellDivider]);
}

export interface OpeningDuties {
  readonly snapshot: ConversationSnapshot;
  readonly slice: Slice;
  /** A jump that decides where it opens. */
  readonly target: object | null;
  readonly goTo: GoTo;
  readonly tellDivider: Dispatch<DividerEvent>;
}

/** Once, as soon as there is something: at the first unread message, the kept place or the newest. */
export function useOpening(state: ScrollState, duties: OpeningDuties): void {
  const { snapshot, slice, target, goTo, tellDivider } = duties;
  useLayoutEffect(() => {
    state.snapshot = snapshot;
    state.slice = slice;
    const ready = snapshot.items.length > 0 || snapshot.lastSeq === 0;
    if (state.opened || !ready) return;
    state.opened = true;
    const readSeq = snapshot.me?.read_seq ?? 0;
    const unread = snapshot.membership?.unread ?? 0;
    const firstUnread = firstUnreadOf(snapshot, readSeq);
    tellDivider({ type: "opened", firstUnread: unread > 0 ? firstUnread : null });
    if (target) return;
    const opening = openingOf({ readSeq, unread, firstUnread }, keptPlace(snapshot.id));
    if (opening.at === "newest") state.pending = { to: "newest" };
    else if (opening.at === "unread") goTo(opening.seq);
    else goTo(opening.place.seq, opening.place.offset);
  });
}

export interface DividerDuties {
  readonly snapshot: ConversationSnapshot;
  /** Grows with each own send. */
  readonly sends: number;
  /** Grows with each Esc that nothing else took. */
  readonly escapes: number;
  readonly atNewest: boolean;
  readonly view: View;
  readonly goToNewest: () => void;
  readonly tellDivider: Dispatch<DividerEvent>;
}

/** Follows messages that come and go, and a reader who is back at the bottom. */
export function useDividerEvents(state: ScrollState, duties: DividerDuties): void {
  const { snapshot, sends, escapes, atNewest, view, goToNewest, tellDivider } = duties;
  const { items, lastSeq } = snapshot;
  useEffect(() => {
    const from = state.lastKnown;
    state.lastKnown = Math.max(from, lastSeq);
    if (!state.opened || lastSeq <= from) return;
    const came = items.find(({ seq, own, message }) => seq > from && !own && message.kind !== "system");
    if (came) tellDivider({ type: "came", seq: came.seq, attentive: isAttentive() });
  }, [state, items, lastSeq, tellDivider]);

  const sent = useRef(sends);
  useLayoutEffect(() => {
    if (sent.current === sends) return;
    sent.current = sends;
    tellDivider({ type: "own-send" });
    goToNewest();
  }, [sends, goToNewest, tellDivider]);

  const escaped = useRef(escapes);
  useEffect(() => {
    if (escaped.current !== escapes) tellDivider({ type: "dismissed" });
    escaped.current = escapes;
  }, [escapes, tellDivider]);

  const wasAtNewest = useRef(true);
  useEffect(() => {
    const back = atNewest && !wasAtNewest.current;
    wasAtNewest.current = atNewest;
    if (back && view.current && !rowsOnScreen(view.current).divider) tellDivider({ type: "back-at-bottom" });
  }, [atNewest, view, tellDivider]);
}
