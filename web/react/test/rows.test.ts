import { describe, expect, it } from "vitest";
import type { OutboxItem, TimelineItem } from "@chatd/client";
import { rowsOf } from "../src/components/conversation/rows.js";

const NOON = new Date(2026, 10, 12, 12, 0).getTime();
const MINUTE = 60_000;

function said(seq: number, sender: string, at: number, kind: "text" | "system" = "text"): TimelineItem {
  const message = {
    seq,
    sender,
    kind,
    body: `m${seq}`,
    sent_at: new Date(at).toISOString(),
    attachments: [],
    reactions: [],
  };
  return { key: `k${seq}`, seq, own: sender === "me", status: null, message } as unknown as TimelineItem;
}

const drawn = (rows: ReturnType<typeof rowsOf>) =>
  rows.map((row) =>
    row.type === "message" || row.type === "waiting" ? `${row.key}${row.first ? "*" : ""}` : row.type,
  );

describe("rowsOf", () => {
  it("puts messages of one person within five minutes under one header", () => {
    const items = [
      said(1, "a", NOON),
      said(2, "a", NOON + 4 * MINUTE),
      said(3, "a", NOON + 10 * MINUTE),
      said(4, "me", NOON + 10 * MINUTE),
    ];
    expect(drawn(rowsOf(items, [], null, "me"))).toEqual(["day", "k1*", "k2", "k3*", "k4*"]);
  });

  it("draws the line of new messages above the first of somebody else", () => {
    const items = [said(1, "a", NOON), said(2, "me", NOON), said(3, "me", NOON), said(4, "a", NOON)];
    expect(drawn(rowsOf(items, [], 2, "me"))).toEqual(["day", "k1*", "k2*", "k3", "divider", "k4*"]);
  });

  it("separates days, and begins a header anew", () => {
    const midnight = new Date(2026, 10, 13).getTime();
    const items = [said(1, "a", midnight - MINUTE), said(2, "a", midnight + MINUTE)];
    expect(drawn(rowsOf(items, [], null, "me"))).toEqual(["day", "k1*", "day", "k2*"]);
  });

  it("puts the divider above the first new message, below its day", () => {
    const items = [said(1, "a", NOON), said(2, "a", NOON + MINUTE)];
    expect(drawn(rowsOf(items, [], 2, "me"))).toEqual(["day", "k1*", "divider", "k2*"]);
    expect(drawn(rowsOf(items, [], 1, "me"))).toEqual(["day", "divider", "k1*", "k2"]);
  });

  it("shows no divider where the slice begins after it", () => {
    expect(drawn(rowsOf([said(5, "a", NOON)], [], 3, "me"))).toEqual(["day", "k5*"]);
  });

  it("puts what waits below the newest, under the same header as own messages", () => {
    const waiting = { key: "w", createdAt: NOON + MINUTE } as OutboxItem;
    expect(drawn(rowsOf([said(1, "me", NOON)], [waiting], null, "me"))).toEqual(["day", "k1*", "w"]);
  });

  it("gives system messages no header in common", () => {
    const items = [said(1, "a", NOON), said(2, "a", NOON, "system"), said(3, "a", NOON)];
    expect(drawn(rowsOf(items, [], null, "me"))).toEqual(["day", "k1*", "k2*", "k3*"]);
  });
});
