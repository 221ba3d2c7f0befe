/** The replica and that of the Python client are given the same frames, and hold the same after each. */

import { describe, expect, it } from "vitest";
import { statusOf } from "../src/held.js";
import type { AnyRequest } from "../src/protocol.gen.js";
import { type Effect, Replica } from "../src/replica.js";
import { pythonIsThere, type Step, type Trace, traces } from "./python.js";

const SEED = Number(process.env.CHATD_WALK_SEED ?? Math.floor(Math.random() * 1e6));
const WALKS = Number(process.env.CHATD_WALKS ?? 6);

/** Without what is null: for the protocol that is the same as absent. */
function bare(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(bare);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field != null)
      .map(([key, field]) => [key, bare(field)]),
  );
}

function stateOf(replica: Replica): unknown {
  const conversations = [...replica.conversations].map(([id, held]) => [
    id,
    {
      rev: held.rev,
      low: held.low,
      last_seq: held.lastSeq,
      info: held.info,
      membership: held.membership,
      participants: Object.fromEntries(held.participants),
      messages: Object.fromEntries(held.messages),
      status: Object.fromEntries([...held.messages].map(([seq, m]) => [seq, statusOf(m, held.participants.values())])),
      typing: [...held.typing.keys()].sort(),
    },
  ]);
  return {
    user: replica.user?.id,
    epoch: replica.epoch,
    users: Object.fromEntries(replica.users),
    presence: Object.fromEntries(replica.presence),
    conversations: Object.fromEntries(conversations),
  };
}

function effectOf(effect: Effect): unknown {
  const { restarted, dropped, sync, get, presence, typing } = effect;
  const listed = Object.fromEntries(
    Object.entries({ restarted, dropped, sync, get, presence, typing }).map(([name, ids]) => [name, [...ids].sort()]),
  );
  const messages = [...effect.messages].map(([id, taken]) => [
    id,
    [...new Set(taken.map(({ seq }) => seq))].sort((a, b) => a - b),
  ]);
  return { ...listed, messages: Object.fromEntries(messages) };
}

function replay({ name, steps }: Trace): number {
  const replica = new Replica();
  for (const [n, step] of steps.entries()) {
    const where = `${name}, step ${n}: ${JSON.stringify(step.frame ?? step.drop).slice(0, 400)}`;
    expect(bare(effectOf(apply(replica, step, n))), where).toEqual(bare(step.effect));
    expect(bare(stateOf(replica)), where).toEqual(bare(step.state));
  }
  return steps.length;
}

function apply(replica: Replica, { drop, frame, request }: Step, now: number): Effect {
  if (drop !== undefined) return replica.drop(drop);
  if (!frame) throw new Error("a step without a frame");
  return request ? replica.applyOk(frame, request as unknown as AnyRequest) : replica.applyEvent(frame, now);
}

describe.skipIf(!pythonIsThere())("the replica beside the Python client's", () => {
  const seeds = Array.from({ length: WALKS }, (_, n) => String(SEED + n));

  it(`holds the same on random walks with the seeds ${seeds.join(", ")}`, { timeout: 180_000 }, () => {
    const walks = traces("walk", "200", ...seeds);
    expect(walks).toHaveLength(WALKS);
    for (const walk of walks) expect(replay(walk)).toBeGreaterThan(30);
  });

  it("holds the same in the dialogues of the protocol", { timeout: 180_000 }, () => {
    const dialogues = traces("transcripts");
    expect(dialogues.length).toBeGreaterThan(50);
    for (const dialogue of dialogues) replay(dialogue);
  });
});
