/** Ways to a place in the history that may not be in the document yet, nor loaded. */

import { useCallback, useEffect, useState } from "react";
import type { Client } from "@chatd/client";
import type { Pending, ScrollState } from "./scroll-state.js";
import { newestSlice, type Slice, sliceAround } from "./slice.js";

const HIGHLIGHT_MS = 2_000;

export type GoTo = (seq: number, offset?: number, highlight?: boolean) => void;

export function useJumps(
  state: ScrollState,
  client: Client,
  id: string,
  setSlice: (slice: Slice) => void,
): { readonly goTo: GoTo; readonly goToNewest: () => void } {
  const goTo = useCallback<GoTo>(
    (seq, offset, highlight = false) => {
      const going: Pending = { to: "seq", seq, highlight, ...(offset === undefined ? {} : { offset }) };
      const go = () => {
        if (state.pending === going) setSlice(sliceAround(seq));
      };
      state.pending = going;
      const { items } = state.snapshot;
      if ((items[0]?.seq ?? Infinity) <= seq && seq <= (items.at(-1)?.seq ?? 0)) go();
      else {
        client.jumpTo(id, seq).then(go, () => {
          if (state.pending === going) state.pending = null;
        });
      }
    },
    [state, client, id, setSlice],
  );

  const goToNewest = useCallback(() => {
    state.pending = { to: "newest" };
    client.showNewest(id);
    setSlice(newestSlice({ first: 1, last: state.snapshot.lastSeq }));
  }, [state, client, id, setSlice]);

  return { goTo, goToNewest };
}

/** The message that was jumped to, for a moment. */
export function useHighlight(): [number | null, (seq: number) => void] {
  const [highlighted, setHighlighted] = useState<number | null>(null);
  useEffect(() => {
    if (highlighted === null) return;
    const timer = setTimeout(() => {
      setHighlighted(null);
    }, HIGHLIGHT_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [highlighted]);
  return [highlighted, setHighlighted];
}
