import { describe, expect, it } from "vitest";
import type { Message } from "@chatd/client";
import { announcementOf } from "../src/components/alerts/announcer.js";
import { isEmojiOnly, linksIn } from "../src/components/conversation/body.js";
import { dayName, shortTime, spokenTime } from "../src/components/times.js";
import { initialsOf } from "../src/components/ui/avatar.js";

const NOW = new Date(2026, 10, 12, 15, 0).getTime(); // a Thursday
const HOUR = 3_600_000;

describe("times", () => {
  it("are said as people say them", () => {
    expect(shortTime(NOW - 6 * HOUR, NOW)).toBe("09:00");
    expect(shortTime(NOW - 48 * HOUR, NOW)).toBe("Tue");
    expect(spokenTime(NOW - 48 * HOUR, NOW)).toBe("Tue 15:00");
    expect(shortTime(NOW - 10 * 24 * HOUR, NOW)).toBe("2 Nov");
    expect(shortTime(NOW - 400 * 24 * HOUR, NOW)).toBe("8 Oct 2025");
    expect(dayName(NOW - HOUR, NOW)).toBe("Today");
    expect(dayName(NOW - 24 * HOUR, NOW)).toBe("Yesterday");
    expect(dayName(NOW - 48 * HOUR, NOW)).toBe("Tuesday");
    expect(dayName(NOW - 10 * 24 * HOUR, NOW)).toBe("2 November");
  });

  it("of a clock that runs ahead are today's", () => {
    expect(dayName(NOW + HOUR, NOW)).toBe("Today");
  });
});

describe("linksIn", () => {
  const addresses = (text: string) => linksIn(text).map(({ address }) => address);

  it("finds web addresses without the end of the sentence", () => {
    expect(addresses("See https://a.example/b?c=d, or (http://e.example/f).")).toEqual([
      "https://a.example/b?c=d",
      "http://e.example/f",
    ]);
  });

  it("knows no other schemes, and no quotes inside", () => {
    expect(addresses("javascript:alert(1) data:text/html,x ftp://a.example")).toEqual([]);
    expect(addresses('https://a.example/"onclick="x')).toEqual(["https://a.example/"]);
  });
});

describe("isEmojiOnly", () => {
  it("is true for a few emoji and nothing else", () => {
    for (const text of ["👍", "👨‍👩‍👧 🎉", "🇩🇪", "❤️"]) expect(isEmojiOnly(text)).toBe(true);
    for (const text of ["", "1", "12", "a 👍", "👍👍👍👍👍👍👍", "#"]) expect(isEmojiOnly(text)).toBe(false);
  });
});

describe("names", () => {
  it("become initials without titles", () => {
    expect(initialsOf("Dr. Maria van Ay")).toBe("MA");
    expect(initialsOf("Ada")).toBe("A");
    expect(initialsOf("<script>")).toBe("?");
  });
});

describe("announcementOf", () => {
  const message = (body: string) => ({ sender: "den-1", body, attachments: [] }) as unknown as Message;
  const users = new Map([["den-1", { id: "den-1", name: "Dr Ay", role: "dentist" as const }]]);

  it("says each of a few, and how many of many", () => {
    expect(announcementOf([message("Hello")], users)).toBe("Dr Ay: Hello");
    expect(
      announcementOf(
        Array.from({ length: 7 }, () => message("x")),
        users,
      ),
    ).toBe("7 new messages");
  });
});
