// @vitest-environment happy-dom
import { afterEach, expect, test } from "vitest";
import { takeInvitation, takeSignInProblem } from "../src/address.js";

afterEach(() => {
  history.replaceState(null, "", "/");
});

test("a problem of a sign-in elsewhere is taken out of the address, once", () => {
  history.replaceState(null, "", "/?with=den-1#sign-in=refused");
  expect(takeSignInProblem()).toBe("refused");
  expect(location.pathname + location.search + location.hash).toBe("/?with=den-1");
  expect(takeSignInProblem()).toBeNull();
});

test("an invitation is no problem of a sign-in", () => {
  history.replaceState(null, "", "/#invitation=ABCD");
  expect(takeSignInProblem()).toBeNull();
  expect(takeInvitation()).toBe("ABCD");
});
