/** Where the history stands, and which part of it: ties anchor, slice, divider and receipts to one another. */

import {
  type FocusEvent,
  type RefObject,
  useCallback,
  useEffect,
  useLayoutEffect,
  useReducer,
  useRef,
  useState,
} from "react";
import type { Client, ConversationSnapshot, SeenWatch } from "@chatd/client";
import { Anchor } from "./anchor.js";
import { dividerAfter, NO_DIVIDER } from "./divider.js";
import { keepPlace, keptPlace, openingOf } from "./place.js";
import { MAX_ROWS, newestSlice, type Slice, sliceAround, trimmed, widenedDown, widenedUp } from "./slice.js";
import { isAttentive, rowsOnScreen } from "./on-screen.js";

/** So many view heights before an end, more is brought. */
const AHEAD = 1.5;
const HIGHLIGHT_MS = 2_000;
const KEEP_PLACE_MS = 200;
/** Loaded messages that are kept while the newest are followed. */
const MAX_LOADED = 1_000;

type Pending =
  | { readonly to: "newest" }
  | { readonly to: "seq"; readonly seq: number; readonly offset?: number; readonly highlight: boolean };

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
  /** How many messages of others came while the reader was further up. */
  readonly missed: number;
  readonly atNewest: boolean;
  /** The key of the message that had the focus last. */
  readonly current: string | null;
  readonly onScroll: () => void;
  readonly onFocus: (event: FocusEvent<HTMLElement>) => void;
  readonly jumpTo: (seq: number) => void;
  readonly jumpToNewest: () => void;
}

export function useScroller({ client, snapshot, target, sends, escapes, view, content }: ScrollerSources): Scroller {
  const { id, items, lastSeq, atEnd } = snapshot;
  const [slice, setSlice] = useState<Slice>(() => newestSlice({ first: 1, last: lastSeq }));
  const [divider, tellDivider] = useReducer(dividerAfter, NO_DIVIDER);
  const [highlighted, setHighlighted] = useState<number | null>(null);
  const [atNewest, setAtNewest] = useState(true);
  const [current, setCurrent] = useState<string | null>(null);
  /** The newest seq when the reader was last at the bottom. */
  const [bottomSeq, setBottomSeq] = useState(lastSeq);

  const anchor = useRef<Anchor | null>(null);
  const pending = useRef<Pending | null>(null);
  const opened = useRef(false);
  const watch = useRef<SeenWatch | null>(null);
  const maxSeen = useRef(0);
  const frame = useRef(0);
  const latest = useRef({ snapshot, slice });
  const lastKnown = useRef(lastSeq);
  const focused = useRef<{ readonly element: Element; readonly seq: number } | null>(null);

  /** Goes to a seq as soon as its row is in the document. */
  const goTo = useCallback(
    (seq: number, offset?: number, highlight = false) => {
      const going: Pending = { to: "seq", seq, highlight, ...(offset === undefined ? {} : { offset }) };
      const go = () => {
        if (pending.current === going) setSlice(sliceAround(seq));
      };
      pending.current = going; // until then nothing counts as seen
      const loaded = latest.current.snapshot.items;
      if ((loaded[0]?.seq ?? Infinity) <= seq && seq <= (loaded.at(-1)?.seq ?? 0)) go();
      else {
        client.jumpTo(id, seq).then(go, () => {
          if (pending.current === going) pending.current = null;
        });
      }
    },
    [client, id],
  );

  const goToNewest = useCallback(() => {
    pending.current = { to: "newest" };
    client.showNewest(id);
    setSlice(newestSlice({ first: 1, last: latest.current.snapshot.lastSeq }));
  }, [client, id]);

  /** After every scroll and every change: brings more where an end is near, tells what is on screen. */
  const look = useCallback(() => {
    const element = view.current;
    const { snapshot: now, slice: part } = latest.current;
    const last = now.items.at(-1)?.seq ?? 0;
    const first = now.items[0]?.seq ?? 0;
    if (!element || !anchor.current || !opened.current || pending.current) return;
    const ahead = element.clientHeight * AHEAD;
    const newest = part.high === null && now.atEnd;
    if (element.scrollTop < ahead) {
      if (part.low > first) setSlice(widenedUp(part, { first, last }));
      else if (!now.atStart && !now.loadingOlder) client.loadOlder(id).catch(() => undefined);
    }
    if (!newest && anchor.current.distanceFromBottom < ahead) {
      if (part.high !== null) setSlice(widenedDown(part, { first, last }, now.atEnd));
      else if (!now.loadingNewer) client.loadNewer(id).catch(() => undefined);
      if (part.high !== null && part.high >= last && !now.atEnd && !now.loadingNewer) {
        client.loadNewer(id).catch(() => undefined);
      }
    }
    const { following } = anchor.current;
    if (following) {
      setSlice(trimmed(part, { first, last }));
      setBottomSeq(now.lastSeq);
      if (now.items.length > MAX_LOADED) client.forgetBelow(id, last - MAX_ROWS);
    } else if (part.high === null && last - part.low > 2 * MAX_ROWS) {
      setSlice({ low: part.low, high: part.low + 2 * MAX_ROWS });
    }
    setAtNewest(following);
    const { seqs, divider: dividerShown } = rowsOnScreen(element);
    watch.current?.onScreen(seqs);
    if (isAttentive()) maxSeen.current = Math.max(maxSeen.current, ...seqs);
    if (dividerShown && isAttentive()) tellDivider({ type: "on-screen" });
  }, [client, id, view]);

  const lookSoon = useCallback(() => {
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(look);
  }, [look]);

  const keep = useCallback(() => {
    if (!anchor.current || !opened.current) return;
    const place = anchor.current.following ? null : anchor.current.place();
    const readSeq = Math.max(latest.current.snapshot.me?.read_seq ?? 0, maxSeen.current);
    keepPlace(id, place && { ...place, readSeq });
  }, [id]);

  // -- the life of the view --

  useLayoutEffect(() => {
    const element = view.current;
    if (!element || !content.current) return;
    anchor.current ??= new Anchor(element);
    const sizes = new ResizeObserver(() => {
      anchor.current?.restore();
      lookSoon();
    });
    sizes.observe(element);
    sizes.observe(content.current);
    return () => {
      keep();
      sizes.disconnect();
      cancelAnimationFrame(frame.current);
    };
  }, [view, content, lookSoon, keep]);

  useEffect(() => {
    const seen = client.seen(id);
    watch.current = seen;
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
      watch.current = null;
      seen.stop();
    };
  }, [client, id, keep, lookSoon]);

  // -- opening --

  const ready = items.length > 0 || lastSeq === 0;
  useLayoutEffect(() => {
    latest.current = { snapshot, slice };
    if (opened.current || !ready) return;
    opened.current = true;
    const readSeq = snapshot.me?.read_seq ?? 0;
    const unread = snapshot.membership?.unread ?? 0;
    const firstUnread = firstUnreadOf(snapshot, readSeq);
    tellDivider({ type: "opened", firstUnread: unread > 0 ? firstUnread : null });
    const opening = openingOf({ readSeq, unread, firstUnread }, keptPlace(id));
    if (target) return; // the jump below decides
    if (opening.at === "newest") pending.current = { to: "newest" };
    else if (opening.at === "unread") goTo(opening.seq);
    else goTo(opening.place.seq, opening.place.offset);
  });

  useLayoutEffect(() => {
    if (target) goTo(target.seq, undefined, true);
  }, [target, goTo]);

  // -- after each change, of whatever --

  // eslint-disable-next-line react-hooks/exhaustive-deps -- one highlight for each jump, and no endless chain
  useLayoutEffect(() => {
    const scroll = anchor.current;
    const element = view.current;
    if (!scroll || !element) return;
    scroll.atNewest = slice.high === null && atEnd;
    const wanted = pending.current;
    if (wanted?.to === "newest" && scroll.atNewest) {
      pending.current = null;
      scroll.toBottom();
    } else if (wanted?.to === "seq") {
      const row = element.querySelector<HTMLElement>(`[data-seq="${wanted.seq}"]`);
      const before = row?.previousElementSibling;
      const shown = before?.hasAttribute("data-divider") ? (before as HTMLElement) : row;
      if (scroll.show(shown, wanted.offset)) {
        pending.current = null;
        if (wanted.highlight) setHighlighted(wanted.seq);
      } else {
        scroll.restore();
      }
    } else {
      scroll.restore();
    }
    keepFocus(element, focused.current);
    lookSoon();
  });

  useEffect(() => {
    if (highlighted === null) return;
    const timer = setTimeout(() => {
      setHighlighted(null);
    }, HIGHLIGHT_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [highlighted]);

  // -- what comes in, what goes out --

  useEffect(() => {
    const from = lastKnown.current;
    lastKnown.current = Math.max(from, lastSeq);
    if (!opened.current || lastSeq <= from) return;
    const came = items.find(({ seq, own, message }) => seq > from && !own && message.kind !== "system");
    if (came) tellDivider({ type: "came", seq: came.seq, attentive: isAttentive() });
  }, [items, lastSeq]);

  const sent = useRef(sends);
  useLayoutEffect(() => {
    if (sent.current === sends) return;
    sent.current = sends;
    tellDivider({ type: "own-send" });
    goToNewest();
  }, [sends, goToNewest]);

  const escaped = useRef(escapes);
  useEffect(() => {
    if (escaped.current !== escapes) tellDivider({ type: "dismissed" });
    escaped.current = escapes;
  }, [escapes]);

  const wasAtNewest = useRef(true);
  useEffect(() => {
    const back = atNewest && !wasAtNewest.current;
    wasAtNewest.current = atNewest;
    if (back && view.current && !rowsOnScreen(view.current).divider) tellDivider({ type: "back-at-bottom" });
  }, [atNewest, view]);

  const keepTimer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const onScroll = useCallback(() => {
    if (pending.current) return;
    anchor.current?.note();
    look();
    clearTimeout(keepTimer.current);
    keepTimer.current = setTimeout(keep, KEEP_PLACE_MS);
  }, [look, keep]);

  const onFocus = useCallback((event: FocusEvent<HTMLElement>) => {
    const row = event.target.closest<HTMLElement>("article");
    setCurrent(row?.dataset["key"] ?? null);
    focused.current = row ? { element: event.target, seq: Number(row.dataset["seq"] ?? 0) } : null;
  }, []);

  const jumpTo = useCallback(
    (seq: number) => {
      goTo(seq, undefined, true);
    },
    [goTo],
  );

  return {
    slice,
    divider: divider.seq,
    highlighted,
    missed: atNewest ? 0 : missedOf(snapshot, bottomSeq),
    atNewest,
    current,
    onScroll,
    onFocus,
    jumpTo,
    jumpToNewest: goToNewest,
  };
}

function firstUnreadOf({ items }: ConversationSnapshot, readSeq: number): number | null {
  const [first] = items;
  if (!first) return null;
  if (first.seq > readSeq + 1) return readSeq + 1; // older than what is loaded
  const unread = items.find(
    ({ seq, own, message }) => seq > readSeq && !own && message.kind !== "system" && message.deleted_at == null,
  );
  return unread?.seq ?? null;
}

function missedOf({ items, lastSeq, view }: ConversationSnapshot, bottomSeq: number): number {
  if (view === "detached") return Math.max(0, lastSeq - bottomSeq);
  return items.filter(({ seq, own, message }) => seq > bottomSeq && !own && message.kind !== "system").length;
}

/** A focus never falls to nothing because its row went: the row nearest to it has it then. */
function keepFocus(view: HTMLElement, focused: { readonly element: Element; readonly seq: number } | null): void {
  if (!focused || focused.element.isConnected || document.activeElement !== document.body) return;
  const rows = [...view.querySelectorAll<HTMLElement>("article[data-seq]")];
  const next = rows.find(({ dataset }) => Number(dataset["seq"]) >= focused.seq) ?? rows.at(-1);
  next?.focus({ preventScroll: true });
}
