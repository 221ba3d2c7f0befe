// @vitest-environment happy-dom
import { afterEach, expect, test, vi } from "vitest";
import { leaveNothing, wasSignedOut } from "../src/leaving.js";

const arriveBy = (type: string) => {
  vi.spyOn(performance, "getEntriesByType").mockReturnValue([{ type } as unknown as PerformanceEntry]);
};

afterEach(() => {
  vi.restoreAllMocks();
  sessionStorage.clear();
});

test("the document after a sign-out signs nobody in, by whatever cookie; a reload may", () => {
  leaveNothing();
  arriveBy("navigate");
  expect(wasSignedOut()).toBe(true);
  arriveBy("reload");
  expect(wasSignedOut()).toBe(false);
  expect(wasSignedOut()).toBe(false);
});

test("Back after a sign-out signs nobody in, however often", () => {
  leaveNothing();
  arriveBy("navigate");
  wasSignedOut();
  arriveBy("back_forward");
  expect(wasSignedOut()).toBe(true);
  expect(wasSignedOut()).toBe(true);
});

test("who never signed out is not held back", () => {
  arriveBy("back_forward");
  expect(wasSignedOut()).toBe(false);
});
