import { describe, expect, it } from "vitest";
import { dividerAfter, type DividerEvent, NO_DIVIDER } from "../src/components/conversation/divider.js";
import { openingOf } from "../src/components/conversation/place.js";
import {
  MAX_ROWS,
  newestSlice,
  type Slice,
  sliceAround,
  trimmed,
  widenedDown,
  widenedUp,
} from "../src/components/conversation/slice.js";

const after = (...events: DividerEvent[]) => events.reduce(dividerAfter, NO_DIVIDER);

describe("the divider", () => {
  it("stays where it was set, whatever comes while somebody looks", () => {
    const divider = after(
      { type: "opened", firstUnread: 7 },
      { type: "on-screen" },
      { type: "came", seq: 9, attentive: true },
    );
    expect(divider.seq).toBe(7);
  });

  it("is set anew by the first message that comes while nobody looks, and not by the next", () => {
    const came = (seq: number): DividerEvent => ({ type: "came", seq, attentive: false });
    expect(after({ type: "opened", firstUnread: 7 }, came(9), came(10)).seq).toBe(9);
    expect(after(came(9), { type: "attentive" }, came(12)).seq).toBe(12);
  });

  it("goes after an own send, Esc, or when seen and back at the bottom", () => {
    const opened: DividerEvent = { type: "opened", firstUnread: 7 };
    expect(after(opened, { type: "own-send" }).seq).toBeNull();
    expect(after(opened, { type: "dismissed" }).seq).toBeNull();
    expect(after(opened, { type: "on-screen" }, { type: "back-at-bottom" }).seq).toBeNull();
    expect(after(opened, { type: "back-at-bottom" }).seq).toBe(7);
  });
});

describe("openingOf", () => {
  const place = { seq: 5, offset: 100, readSeq: 20 };

  it("leads to the first unread message before all else", () => {
    expect(openingOf({ readSeq: 20, unread: 2, firstUnread: 21 }, place)).toEqual({ at: "unread", seq: 21 });
  });

  it("leads back to the place, unless more was read elsewhere meanwhile", () => {
    expect(openingOf({ readSeq: 20, unread: 0, firstUnread: null }, place)).toEqual({ at: "place", place });
    expect(openingOf({ readSeq: 22, unread: 0, firstUnread: null }, place)).toEqual({ at: "newest" });
    expect(openingOf({ readSeq: 0, unread: 0, firstUnread: null }, null)).toEqual({ at: "newest" });
  });
});

describe("the slice", () => {
  const loaded = { first: 1, last: 10_000 };
  const size = ({ low, high }: Slice) => (high ?? loaded.last) - low + 1;

  it("stays bounded on a walk to the beginning and back", () => {
    let slice = newestSlice(loaded);
    for (let n = 0; n < 300; n += 1) {
      slice = widenedUp(slice, loaded);
      expect(size(slice)).toBeLessThanOrEqual(MAX_ROWS);
    }
    expect(slice.low).toBe(1);
    for (let n = 0; n < 300; n += 1) {
      slice = widenedDown(slice, loaded, true);
      expect(size(slice)).toBeLessThanOrEqual(MAX_ROWS + 60);
    }
    expect(slice.high).toBeNull();
  });

  it("drops old rows while the newest are followed", () => {
    expect(size(trimmed({ low: 1, high: null }, loaded))).toBeLessThan(MAX_ROWS);
    const around = sliceAround(5_000);
    expect(trimmed(around, loaded)).toBe(around);
  });
});
