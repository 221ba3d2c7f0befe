import { describe, expect, it } from "vitest";
import { statusOf } from "../src/held.js";
import type { AnyRequest, Message } from "../src/protocol.gen.js";
import { Replica, TYPING_ENDS_MS } from "../src/replica.js";
import { AT, C, change, hello, info, ME, membership, message, OTHER, participant, summary, THIRD } from "./frames.js";

const HELLO: AnyRequest = { type: "hello", id: 1 };

/** A replica with one conversation at rev 5, whose loaded range is these messages. */
function loaded(...messages: Message[]) {
  const replica = new Replica();
  replica.applyOk(hello(), HELLO);
  const last = Math.max(0, ...messages.map(({ seq }) => seq));
  const fields = { ...summary({ info: info({ last_seq: last, rev: 5 }) }), messages };
  replica.applyEvent(change(0, 5, fields), 0);
  return { replica, held: theOne(replica) };
}

function theOne(replica: Replica) {
  const held = replica.conversations.get(C);
  if (!held) throw new Error("nothing is held");
  return held;
}

function page(
  replica: Replica,
  messages: Message[],
  asked: { before?: number; after?: number },
  more = true,
  apart = false,
) {
  const frame = { type: "ok", re: 2, conversation: C, messages, more };
  return replica.applyOk(frame, { type: "message.history", id: 2, conversation: C, ...asked }, apart);
}

const seqs = (replica: Replica) => [...theOne(replica).messages.keys()].sort((a, b) => a - b);

describe("a change", () => {
  it("moves the cursor and counts what is new and somebody else's", () => {
    const { replica, held } = loaded();
    const messages = [message(1, { rev: 6 }), message(2, { rev: 7, sender: ME }), message(3, { rev: 8, sender: null })];
    const effect = replica.applyEvent(change(5, 8, { messages }), 0);
    expect([held.rev, held.membership.unread, held.lastSeq]).toEqual([8, 1, 3]);
    expect(effect.fresh).toHaveLength(3);
    replica.applyEvent(change(8, 9, { messages: [message(1, { rev: 9, body: "edited" })] }), 0);
    expect([held.membership.unread, held.messages.get(1)?.body]).toEqual([1, "edited"]);
  });

  it("counts no message that came as a tombstone", () => {
    const { replica, held } = loaded();
    replica.applyEvent(change(5, 7, { messages: [message(1, { rev: 7, deleted_at: AT, body: "" })] }), 0);
    expect(held.membership.unread).toBe(0);
  });

  it("that leaves a gap asks for a sync and changes nothing", () => {
    const { replica, held } = loaded();
    const effect = replica.applyEvent(change(6, 7, { messages: [message(1, { rev: 7 })] }), 0);
    expect([...effect.sync]).toEqual([C]);
    expect([held.rev, held.messages.size]).toEqual([5, 0]);
  });

  it("that spans the cursor is applied", () => {
    const { replica, held } = loaded();
    replica.applyEvent(change(3, 7, { messages: [message(1, { rev: 7 })] }), 0);
    expect([held.rev, held.lastSeq]).toEqual([7, 1]);
  });

  it("that is older brings nothing back, its membership neither", () => {
    const { replica, held } = loaded(message(1, { rev: 5, body: "newer" }));
    const old = { messages: [message(1, { rev: 3, body: "older" })], membership: membership({ unread: 9 }) };
    replica.applyEvent(change(2, 3, old), 0);
    expect([held.rev, held.messages.get(1)?.body, held.membership.unread]).toEqual([5, "newer", 0]);
  });

  it("from 0 that is older than what is held starts nothing anew", () => {
    const { replica, held } = loaded(message(1));
    replica.applyEvent(change(0, 1, { ...summary(), messages: [] }), 0);
    expect(theOne(replica)).toBe(held);
    expect(held.rev).toBe(5);
  });

  it("from 0 forgets all that was held", () => {
    const { replica } = loaded(message(1), message(2));
    const effect = replica.applyEvent(change(0, 9, { ...summary({ info: info({ rev: 9, last_seq: 7 }) }) }), 0);
    expect([...effect.restarted]).toEqual([C]);
    expect([theOne(replica).rev, theOne(replica).low, seqs(replica)]).toEqual([9, 8, []]);
  });

  it("from 0 holds the messages it lists up to the newest, without a hole", () => {
    const { replica } = loaded();
    const messages = [message(4), message(6), message(7)];
    replica.applyEvent(change(0, 9, { ...summary({ info: info({ rev: 9, last_seq: 7 }) }), messages }), 0);
    expect([theOne(replica).low, seqs(replica)]).toEqual([6, [6, 7]]);
  });

  it("of an unknown conversation is asked for", () => {
    const replica = new Replica();
    replica.applyOk(hello(), HELLO);
    expect([...replica.applyEvent(change(3, 4, { messages: [message(1)] }), 0).get]).toEqual([C]);
    expect(replica.conversations.size).toBe(0);
  });

  it("with the own leave drops the conversation, but not an old one after coming back", () => {
    const { replica } = loaded();
    const left = { participants: [participant(ME, { rev: 6, left_at: AT })] };
    expect([...replica.applyEvent(change(5, 6, left), 0).dropped]).toEqual([C]);
    expect(replica.conversations.size).toBe(0);
    const back = summary({ info: info({ rev: 7 }), participants: [participant(ME, { rev: 7 })] });
    replica.applyEvent(change(0, 7, { ...back }), 0);
    replica.applyEvent(change(5, 6, left), 0);
    expect(replica.conversations.size).toBe(1);
  });

  it("with an older info keeps the newer", () => {
    const { replica, held } = loaded();
    replica.applyEvent(change(5, 6, { info: info({ rev: 4, title: "old" }) }), 0);
    expect(held.info.title).toBeUndefined();
  });
});

describe("hello", () => {
  it("asks for a sync of what it does not name, unless it did not move", () => {
    const { replica } = loaded();
    expect([...replica.applyOk(hello(), HELLO).sync]).toEqual([C]);
    const same = summary({ info: info({ rev: 5 }) });
    expect(replica.applyOk(hello({ conversations: [same] }), HELLO).sync.size).toBe(0);
    const moved = summary({ info: info({ rev: 6 }) });
    expect([...replica.applyOk(hello({ conversations: [moved] }), HELLO).sync]).toEqual([C]);
  });

  it("of another epoch voids everything", () => {
    const { replica } = loaded(message(1));
    const effect = replica.applyOk(hello({ epoch: "two" }), HELLO);
    expect([[...effect.dropped], [...effect.get]]).toEqual([[C], [C]]);
  });

  it("with a reset drops the conversation and asks for it", () => {
    const { replica } = loaded(message(1));
    const effect = replica.applyOk(hello({ revs: { [C]: { rev: 9, reset: true } } }), HELLO);
    expect([[...effect.dropped], [...effect.get]]).toEqual([[C], [C]]);
  });

  it("that renews the session leaves all as it is", () => {
    const { replica } = loaded(message(1));
    const effect = replica.applyOk(hello({ conversations: undefined, revs: undefined }), HELLO);
    expect([effect.sync.size, effect.dropped.size, replica.conversations.size]).toEqual([0, 0, 1]);
  });
});

describe("typing", () => {
  const typing = (active: boolean) => ({ type: "typing", conversation: C, user: OTHER, active });

  it("ends by itself after 8 s", () => {
    const { replica, held } = loaded();
    replica.applyEvent(typing(true), 1000);
    expect(replica.typingUntil()).toBe(1000 + TYPING_ENDS_MS);
    replica.expireTyping(1000 + TYPING_ENDS_MS - 1);
    expect(held.typing.size).toBe(1);
    expect(replica.expireTyping(1000 + TYPING_ENDS_MS).typing.size).toBe(1);
    expect([held.typing.size, replica.typingUntil()]).toEqual([0, Infinity]);
  });

  it("ends with the typist's message, with their word, and with the connection", () => {
    const { replica, held } = loaded();
    replica.applyEvent(typing(true), 0);
    replica.applyEvent(change(5, 6, { messages: [message(1, { rev: 6 })] }), 0);
    expect(held.typing.size).toBe(0);
    replica.applyEvent(typing(true), 0);
    replica.applyEvent(typing(false), 0);
    expect(held.typing.size).toBe(0);
    replica.applyEvent(typing(true), 0);
    replica.applyOk(hello(), HELLO);
    expect(held.typing.size).toBe(0);
  });
});

describe("the status of an own message", () => {
  const own = message(5, { sender: ME });
  const me = participant(ME);

  it.each([
    ["sent", "nobody else is there", []],
    ["sent", "one of two has it", [participant(OTHER, { delivered_seq: 5 }), participant(THIRD)]],
    ["delivered", "all have it", [participant(OTHER, { delivered_seq: 5 }), participant(THIRD, { delivered_seq: 9 })]],
    [
      "delivered",
      "one of two read it",
      [participant(OTHER, { delivered_seq: 5, read_seq: 5 }), participant(THIRD, { delivered_seq: 5 })],
    ],
    ["read", "all read it", [participant(OTHER, { delivered_seq: 5, read_seq: 5 })]],
    [
      "read",
      "the one who did not is gone",
      [participant(OTHER, { delivered_seq: 5, read_seq: 5 }), participant(THIRD, { left_at: AT })],
    ],
    [
      "read",
      "the one who did not came later",
      [participant(OTHER, { delivered_seq: 5, read_seq: 5 }), participant(THIRD, { from_seq: 6 })],
    ],
    ["sent", "the only other came later", [participant(OTHER, { from_seq: 6, delivered_seq: 4, read_seq: 4 })]],
    ["read", "somebody brought back had read it", [participant(OTHER, { from_seq: 6, delivered_seq: 5, read_seq: 5 })]],
  ])("is %s when %s", (status, _, others) => {
    expect(statusOf(own, [me, ...others])).toBe(status);
  });
});

describe("history", () => {
  it("waits with a message below the range", () => {
    const { replica } = loaded(message(9));
    replica.applyEvent(change(5, 6, { messages: [message(4, { rev: 6, body: "edited" })] }), 0);
    expect(seqs(replica)).toEqual([9]);
    page(
      replica,
      [3, 4, 5, 6, 7, 8].map((seq) => message(seq)),
      { before: 9 },
    );
    expect([theOne(replica).low, seqs(replica)]).toEqual([3, [3, 4, 5, 6, 7, 8, 9]]);
  });

  it("does not bring an older copy over a newer", () => {
    const { replica, held } = loaded(message(9, { rev: 12, body: "newer" }));
    page(replica, [message(8), message(9, { rev: 4, body: "older", status: "read" })], {});
    expect(held.messages.get(9)?.body).toBe("newer");
  });

  it("drops the status of a reply: the watermarks know better", () => {
    const { replica, held } = loaded(message(9));
    page(replica, [message(8, { status: "read" })], { before: 9 });
    expect(held.messages.get(8)).not.toHaveProperty("status");
  });

  it("apart from the range is not held, unless it is to be", () => {
    const { replica, held } = loaded(message(9));
    page(replica, [message(2), message(3)], { before: 4 });
    expect([held.low, seqs(replica), held.apart]).toEqual([9, [9], null]);
    page(replica, [message(2), message(3)], { before: 4 }, true, true);
    expect([held.low, held.apart?.low, held.apart?.high]).toEqual([9, 2, 3]);
    replica.applyEvent(change(5, 6, { messages: [message(3, { rev: 6, body: "edited" })] }), 0);
    expect(held.apart?.messages.get(3)?.body).toBe("edited");
  });

  it("widens the range if it ends right below it", () => {
    const { replica, held } = loaded(message(9));
    page(
      replica,
      [3, 4, 5, 6, 7].map((seq) => message(seq)),
      { after: 2 },
    );
    page(
      replica,
      [5, 6, 7].map((seq) => message(seq)),
      { before: 8 },
    );
    expect([held.low, seqs(replica)]).toEqual([9, [9]]);
    page(
      replica,
      [3, 4, 5, 6, 7, 8].map((seq) => message(seq)),
      { after: 2 },
    );
    expect([held.low, seqs(replica)]).toEqual([3, [3, 4, 5, 6, 7, 8, 9]]);
  });

  it("joins the range apart once the two touch", () => {
    const { replica, held } = loaded(message(9));
    page(replica, [message(3), message(4)], { after: 2 }, true, true);
    page(replica, [message(5), message(6), message(7), message(8)], { after: 4 }, true, true);
    expect([held.apart, held.low, seqs(replica)]).toEqual([null, 3, [3, 4, 5, 6, 7, 8, 9]]);
  });

  it("forgets below, but never the newest", () => {
    const { replica, held } = loaded(message(1), message(2), message(3));
    held.forgetBelow(2);
    expect([held.low, seqs(replica)]).toEqual([2, [2, 3]]);
    held.forgetBelow(99);
    expect([held.low, seqs(replica)]).toEqual([3, [3]]);
  });
});

describe("on random walks", () => {
  const seed = Number(process.env.CHATD_WALK_SEED ?? Math.floor(Math.random() * 1e6));

  it.each(Array.from({ length: 20 }, (_, n) => seed + n))(
    "both ranges stay as the server has them, seed %d",
    (seed) => {
      const random = generator(seed);
      const upTo = (n: number) => Math.floor(random() * n);
      const all: Message[] = Array.from({ length: 60 }, (_, n) => message(n + 1));
      let rev = 61;
      const replica = new Replica();
      replica.applyOk(hello(), HELLO);
      const whole = summary({ info: info({ last_seq: 60, rev }), last_message: all[59] });
      replica.applyOk({ type: "ok", re: 2, ...whole, users: [] }, { type: "conversation.get", id: 2, conversation: C });
      const held = theOne(replica);
      const missed: Message[] = [];

      const alter = () => {
        rev += 1;
        const edit = random() < 0.6;
        const seq = edit ? 1 + upTo(all.length) : all.length + 1;
        all[seq - 1] = message(seq, { rev, body: `at ${rev}` });
        missed.push(all[seq - 1] as Message);
      };
      const catchUp = () => {
        const newest = [...new Map(missed.splice(0).map((m) => [m.seq, m])).values()];
        replica.applyEvent(change(held.rev, rev, { messages: newest }), 0);
      };
      const look = () => {
        catchUp(); // a page is as of what was told before it
        const limit = 1 + upTo(8);
        const apart = random() < 0.7;
        const range = apart && held.apart && random() < 0.7 ? held.apart : held;
        if (random() < 0.5) {
          const before = random() < 0.6 ? range.low : 1 + upTo(all.length);
          const rest = all.slice(0, Math.max(0, before - 1));
          page(replica, rest.slice(-limit), { before }, rest.length > limit, apart);
        } else {
          const after = held.apart && random() < 0.6 ? held.apart.high : upTo(all.length);
          const rest = all.slice(after);
          page(replica, rest.slice(0, limit), { after }, rest.length > limit, apart);
        }
      };
      const forget = () => {
        held.forgetBelow(held.low + upTo(5));
      };

      for (let step = 0; step < 300; step += 1) {
        const choice = random();
        if (choice < 0.4) alter();
        else if (choice < 0.6) catchUp();
        else if (choice < 0.95) look();
        else forget();
        if (missed.length) continue;
        const expected = (low: number, high: number) => new Map(all.slice(low - 1, high).map((m) => [m.seq, m]));
        const sorted = (messages: Map<number, Message>) => new Map([...messages].sort(([a], [b]) => a - b));
        expect(sorted(held.messages)).toEqual(expected(held.low, all.length));
        if (!held.apart) continue;
        expect(sorted(held.apart.messages)).toEqual(expected(held.apart.low, held.apart.high));
        expect(held.apart.high).toBeLessThan(held.low - 1);
      }
    },
  );
});

/** Random numbers in [0, 1) that follow from a seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
