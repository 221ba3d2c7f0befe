// @vitest-environment happy-dom
import { beforeEach, expect, test } from "vitest";
import {
  belongsTo,
  choosePin,
  forgetPin,
  hasPin,
  isLocked,
  lastInput,
  lock,
  noteInput,
  PIN,
  unlock,
} from "../src/lock/pin.js";

const NOW = 1_800_000_000_000;

beforeEach(async () => {
  localStorage.clear();
  await choosePin("den-1", "2468");
});

test("a chosen PIN locks at once, and opens again", async () => {
  expect(isLocked()).toBe(true);
  expect(await unlock("2469", NOW)).toEqual({ right: false, waitS: 0 });
  expect(isLocked()).toBe(true);
  expect(await unlock("2468", NOW)).toEqual({ right: true });
  expect(isLocked()).toBe(false);
  lock();
  expect(isLocked()).toBe(true);
});

test("what is kept tells no PIN", () => {
  expect(JSON.stringify({ ...localStorage })).not.toContain("2468");
});

test("after five wrong ones each costs a wait that doubles, and the right one waits too", async () => {
  for (let n = 0; n < 4; n += 1) expect(await unlock("0000", NOW)).toEqual({ right: false, waitS: 0 });
  expect(await unlock("0000", NOW)).toEqual({ right: false, waitS: 60 });
  expect(await unlock("2468", NOW + 1_000)).toEqual({ right: false, waitS: 59 });
  expect(await unlock("0000", NOW + 61_000)).toEqual({ right: false, waitS: 120 });
  expect(await unlock("2468", NOW + 182_000)).toEqual({ right: true });
  lock();
  expect(await unlock("0000", NOW + 183_000)).toEqual({ right: false, waitS: 0 });
});

test("many tries at once are no more than one by one", async () => {
  const tried = await Promise.all(Array.from({ length: 20 }, (_, n) => unlock(String(1000 + n), NOW)));
  expect(tried.filter((one) => !one.right && one.waitS === 60)).toHaveLength(16);
});

test("a PIN of somebody else is forgotten", () => {
  belongsTo("den-1");
  expect(hasPin()).toBe(true);
  belongsTo("staff-1");
  expect(hasPin()).toBe(false);
});

test("nothing is left of a PIN that is forgotten, or damaged", () => {
  noteInput(NOW);
  expect(lastInput()).toBe(NOW);
  forgetPin();
  expect(localStorage.length).toBe(0);
  localStorage.setItem("chatd.lock", "{");
  expect(hasPin()).toBe(false);
});

test.each([
  ["1234", true],
  ["123456789012", true],
  ["123", false],
  ["1234567890123", false],
  ["12a4", false],
  ["", false],
])("%s is a PIN: %s", (pin, is) => {
  expect(PIN.test(pin)).toBe(is);
});
