// @vitest-environment happy-dom
import { afterEach, expect, test } from "vitest";
import { developmentUser, takeInvitation, takeSignInProblem, wantedPerson } from "../src/address.js";

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

test("the address names a development user and whom to talk to; an unknown role is none", () => {
  const search = "?as=pat-1&name=Ada+L&role=king&with=den-1";
  expect(developmentUser({ search })).toEqual({ user: "pat-1", name: "Ada L" });
  expect(wantedPerson({ search })).toBe("den-1");
  expect(developmentUser({ search: "?with=den-1" })).toBeNull();
});
