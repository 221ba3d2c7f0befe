import { expect, it } from "vitest";
import { embedded } from "../src/styles.js";

it("keeps the page's rules inside the shadow root, and goes by the width of the part", () => {
  expect(embedded("html, body, #root { height: 100% }")).toBe(".shell, .shell, .shell { height: 100% }");
  expect(embedded("a{}html{}body{}")).toBe("a{}.shell{}.shell{}");
  expect(embedded("@media (prefers-color-scheme: dark) { :root { --x: 1 } }")).toBe(
    "@media (prefers-color-scheme: dark) { :host { --x: 1 } }",
  );
  expect(embedded("@media (max-width: 759px) { .side {} }")).toBe("@container chat (max-width: 759px) { .side {} }");
  expect(embedded(".layout { height: 100dvh } .dialog { max-height: calc(100dvh - 32px) }")).toBe(
    ".layout { height: 100% } .dialog { max-height: calc(100dvh - 32px) }",
  );
  expect(embedded(".dialog-body { } .message-body{}")).toBe(".dialog-body { } .message-body{}");
});
