import { describe, expect, it } from "vitest";
import { environment } from "../src/environment.js";
import { fallingBack } from "../src/fallback.js";
import type { Transport, TransportEvents } from "../src/transport.js";
import { pass, useVirtualTime } from "./world.js";

useVirtualTime();

/** A transport whose connections the test makes, breaks and closes. */
class Script implements Transport {
  readonly made: { events: TransportEvents; said: string[]; closed: boolean }[] = [];

  connect(events: TransportEvents) {
    const connection = { events, said: [] as string[], closed: false };
    this.made.push(connection);
    return {
      send: (text: string) => void connection.said.push(text),
      close: () => {
        connection.closed = true;
      },
    };
  }

  get last() {
    const last = this.made.at(-1);
    if (!last) throw new Error("nothing was connected");
    return last;
  }
}

const setUp = () => {
  const [best, other] = [new Script(), new Script()];
  const transport = fallingBack(environment(), best, other);
  const told: string[] = [];
  const connect = () =>
    transport.connect({
      open: () => void told.push("open"),
      frame: (text) => void told.push(text),
      close: (code) => void told.push(`close ${code}`),
    });
  return { best, other, told, connect };
};

describe("falling back", () => {
  it("tries the other at once where the better one does not open, and only then says that it failed", () => {
    const { best, other, told, connect } = setUp();
    const connection = connect();
    best.last.events.close(1006, "");
    expect([other.made.length, told]).toEqual([1, []]);
    other.last.events.open();
    connection.send("hello");
    other.last.events.frame("ok");
    expect([told, other.last.said]).toEqual([["open", "ok"], ["hello"]]);
    connect();
    expect([best.made.length, other.made.length]).toEqual([1, 2]);
  });

  it("goes on with the better one where neither works", () => {
    const { best, other, told, connect } = setUp();
    connect();
    best.last.events.close(1006, "");
    other.last.events.close(1006, "");
    expect(told).toEqual(["close 1006"]);
    connect();
    expect([best.made.length, other.made.length]).toEqual([2, 1]);
  });

  it("takes a connection that opens and stays silent for broken, whoever gives it up", async () => {
    const { best, other, connect } = setUp();
    const connection = connect();
    best.last.events.open();
    await pass(15_000);
    connection.close();
    connect();
    expect([best.made.length, other.made.length]).toEqual([1, 1]);
  });

  it.each([4008, 4503, 1001])("does not take %d for a broken network", (code) => {
    const { best, other, told, connect } = setUp();
    for (let n = 0; n < 5; n += 1) {
      connect();
      best.last.events.open();
      best.last.events.frame("ok");
      best.last.events.close(code, "");
    }
    expect([best.made.length, other.made.length, told.filter((each) => each.startsWith("close")).length]).toEqual([
      5, 0, 5,
    ]);
  });

  it("gives the better one up after three that broke soon, but not where one held in between", async () => {
    const { best, other, connect } = setUp();
    for (const life of [0, 0, 40_000, 0, 0, 0]) {
      connect();
      best.last.events.open();
      best.last.events.frame("ok");
      await pass(life);
      best.last.events.close(1006, "");
    }
    connect();
    expect([best.made.length, other.made.length]).toEqual([6, 1]);
  });

  it("returns to the better one once a frame gets through both ways", async () => {
    const { best, other, told, connect } = setUp();
    connect();
    best.last.events.close(1006, "");
    other.last.events.open();
    other.last.events.frame("ok");
    await pass(60_000);
    best.last.events.close(1006, "");
    expect([best.made.length, told.at(-1)]).toEqual([2, "ok"]);
    await pass(120_000);
    best.last.events.open();
    expect(best.last.said).toEqual(['{"type":"ping","id":0}']);
    await pass(15_000); // nothing comes through
    expect([best.last.closed, told.at(-1), other.last.closed]).toEqual([true, "ok", false]);
    await pass(240_000);
    best.last.events.open();
    best.last.events.frame('{"type":"error"}');
    expect([told.at(-1), other.last.closed, best.last.closed]).toEqual(["close 1001", true, true]);
    connect();
    expect([best.made.length, other.made.length]).toEqual([5, 1]);
  });

  it("leaves no timer and no probe behind", async () => {
    const { best, connect, other } = setUp();
    const connection = connect();
    best.last.events.close(1006, "");
    other.last.events.frame("ok");
    await pass(60_000);
    connection.close();
    expect([best.last.closed, other.last.closed]).toEqual([true, true]);
    await pass(3_600_000);
    expect(best.made.length).toBe(2);
  });
});
