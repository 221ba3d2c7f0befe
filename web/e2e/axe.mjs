// What axe-core has to say of a screen: nothing.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

export async function axe(page, screen) {
  await page.waitForTimeout(300); // transitions and late effects
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(
    (values) => window.axe.run(document, { runOnly: { type: "tag", values } }),
    TAGS,
  );
  const found = violations.map(
    ({ id, nodes }) =>
      `${screen}: ${id}: ${nodes.map(({ target, html }) => `${target} ${html.slice(0, 160)}`).join("; ")}`,
  );
  assert.deepEqual(found, []);
}
