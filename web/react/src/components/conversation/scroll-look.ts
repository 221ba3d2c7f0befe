/** After every scroll and every change: brings more where an end is near, tells what is on screen. */

import { type Dispatch, type RefObject, useCallback, useEffect, useRef } from "react";
import type { Client } from "@chatd/client";
import type { DividerEvent } from "./divider.js";
import { isAttentive, rowsOnScreen } from "./on-screen.js";
import type { ScrollState } from "./scroll-state.js";
import { MAX_ROWS, type Slice, trimmed, widenedDown, widenedUp } from "./slice.js";

/** View heights before an end at which more is loaded. */
const AHEAD_VIEWS = 1.5;
/** Loaded messages that are kept while the newest are followed. */
const MAX_LOADED = 1_000;

export interface LookDuties {
  readonly state: ScrollState;
  readonly client: Client;
  readonly id: string;
  readonly view: RefObject<HTMLDivElement | null>;
  readonly setSlice: (slice: Slice) => void;
  readonly setBottomSeq: (seq: number) => void;
  readonly setAtNewest: (atNewest: boolean) => void;
  readonly tellDivider: Dispatch<DividerEvent>;
}

export function useLook(duties: LookDuties): { look: () => void; lookSoon: () => void } {
  const { state, client, id, view, setSlice, setBottomSeq, setAtNewest, tellDivider } = duties;
  const frame = useRef(0);

  const look = useCallback(() => {
    const element = view.current;
    const { anchor } = state;
    if (!element || !anchor || !state.opened || state.pending) return;
    bringMore(element, anchor.distanceFromBottom, { state, client, id, setSlice });
    const { snapshot, slice } = state;
    const last = snapshot.items.at(-1)?.seq ?? 0;
    if (anchor.following) {
      setSlice(trimmed(slice, { first: snapshot.items[0]?.seq ?? 0, last }));
      setBottomSeq(snapshot.lastSeq);
      if (snapshot.items.length > MAX_LOADED) client.forgetBelow(id, last - MAX_ROWS);
    } else if (slice.high === null && last - slice.low > 2 * MAX_ROWS) {
      setSlice({ low: slice.low, high: slice.low + 2 * MAX_ROWS });
    }
    setAtNewest(anchor.following);
    const { seqs, divider } = rowsOnScreen(element);
    state.watch?.onScreen(seqs);
    if (isAttentive()) state.maxSeen = Math.max(state.maxSeen, ...seqs);
    if (divider && isAttentive()) tellDivider({ type: "on-screen" });
  }, [state, client, id, view, setSlice, setBottomSeq, setAtNewest, tellDivider]);

  const lookSoon = useCallback(() => {
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(look);
  }, [look]);

  useEffect(
    () => () => {
      cancelAnimationFrame(frame.current);
    },
    [],
  );
  return { look, lookSoon };
}

type Bringing = Pick<LookDuties, "state" | "client" | "id" | "setSlice">;

/** More rows of what is loaded, or more from the server, on the side whose end is near. */
function bringMore(view: HTMLElement, fromBottom: number, { state, client, id, setSlice }: Bringing): void {
  const { snapshot: now, slice } = state;
  const first = now.items[0]?.seq ?? 0;
  const last = now.items.at(-1)?.seq ?? 0;
  const ahead = view.clientHeight * AHEAD_VIEWS;
  if (view.scrollTop < ahead) {
    if (slice.low > first) setSlice(widenedUp(slice, { first, last }));
    else if (!now.atStart && !now.loadingOlder) client.loadOlder(id).catch(() => undefined);
  }
  const newest = slice.high === null && now.atEnd;
  if (newest || fromBottom >= ahead) return;
  if (slice.high !== null) setSlice(widenedDown(slice, { first, last }, now.atEnd));
  const shown = slice.high === null || (slice.high >= last && !now.atEnd);
  if (shown && !now.loadingNewer) client.loadNewer(id).catch(() => undefined);
}
