// Text of others is never markup: hostile strings through names, titles and bodies stay text to the letter.
import assert from "node:assert/strict";
import { test } from "node:test";
import { as, BO, composer, log, row, setUp, visitor } from "./harness.mjs";

const world = setUp();

const RUN = "window.hostile=1";
const HOSTILE = [
  `<script>${RUN}</script>`,
  `<img src=x onerror="${RUN}">`,
  `<img src=x onerror=${RUN}//`,
  `<svg onload="${RUN}">`,
  `<svg><script>${RUN}</script></svg>`,
  `<svg><animate onbegin=${RUN} attributeName=x dur=1s>`,
  `<body onload="${RUN}">`,
  `<iframe src="javascript:${RUN}"></iframe>`,
  `<iframe srcdoc="<script>parent.hostile=1</script>"></iframe>`,
  `<object data="javascript:${RUN}"></object>`,
  `<embed src="javascript:${RUN}">`,
  `<a href="javascript:${RUN}">press</a>`,
  `javascript:${RUN}`,
  `JaVaScRiPt:${RUN}`,
  `java\tscript:${RUN}`,
  `data:text/html,<script>${RUN}</script>`,
  `vbscript:msgbox(1)`,
  `http://example.org/" onmouseover="${RUN}`,
  `https://example.org/'onclick='${RUN}`,
  `https://example.org/><img src=x onerror=${RUN}>`,
  `https://user:pass@example.org/`,
  `http://javascript:${RUN}`,
  `<details open ontoggle="${RUN}">`,
  `<input autofocus onfocus="${RUN}">`,
  `<select autofocus onfocus="${RUN}">`,
  `<textarea autofocus onfocus="${RUN}">`,
  `<video><source onerror="${RUN}"></video>`,
  `<audio src=x onerror="${RUN}">`,
  `<marquee onstart="${RUN}">`,
  `<math><mi xlink:href="javascript:${RUN}">x</mi></math>`,
  `<form action="javascript:${RUN}"><button>go</button></form>`,
  `<button formaction="javascript:${RUN}">go</button>`,
  `<style>*{display:none}</style>`,
  `<link rel=stylesheet href=//example.org/x.css>`,
  `<meta http-equiv=refresh content="0;url=https://example.org">`,
  `<base href="https://example.org/">`,
  `<template><script>${RUN}</script></template>`,
  `<noscript><p title="</noscript><img src=x onerror=${RUN}>">`,
  `</textarea><script>${RUN}</script>`,
  `</title><script>${RUN}</script>`,
  `--><script>${RUN}</script>`,
  `]]><script>${RUN}</script>`,
  `"><script>${RUN}</script>`,
  `'><script>${RUN}</script>`,
  `\`\${${RUN}}\``,
  `{{constructor.constructor('${RUN}')()}}`,
  `&lt;script&gt;${RUN}&lt;/script&gt;`,
  `&#60;script&#62;${RUN}&#60;/script&#62;`,
  `\u202e<script>${RUN}</script>`,
  `<div style="position:fixed;inset:0;background:red">over it</div>`,
  `<x contenteditable onblur=${RUN} tabindex=0 autofocus>x</x>`,
];

test(`${HOSTILE.length} hostile strings in names and bodies stay text`, async () => {
  const { daemon, browser } = world;
  assert.ok(HOSTILE.length >= 50);
  await daemon.known(BO.user, BO.name, BO.role);
  await daemon.known("bad-1", `<img src=x onerror="${RUN}">`, "patient");
  await daemon.known("bad-2", `"><script>${RUN}</script>`, "staff");
  const conversation = await daemon.say("bad-1", BO.user, HOSTILE);
  await daemon.ask(BO.user, { type: "conversation.create", title: `<svg onload="${RUN}">`, members: ["bad-2"] });
  const page = await visitor(browser, `${as(daemon, BO.user, BO)}#conversation=${conversation}`);
  await composer(page).waitFor();
  await page.getByRole("button", { name: "Jump to newest" }).click();
  await log(page).getByText("contenteditable").waitFor();
  const bodies = await log(page).locator("article .body").allTextContents();
  assert.deepEqual(
    bodies,
    HOSTILE.map((text) => text),
  );
  const links = await log(page)
    .locator("a")
    .evaluateAll((all) => all.map(({ protocol }) => protocol));
  assert.ok(links.length > 0 && links.every((protocol) => protocol === "http:" || protocol === "https:"));
  assert.equal(
    await log(page).locator("img, svg:not(.icon):not([aria-hidden]), script, iframe, style, input, video").count(),
    0,
  );
  await row(page, "<svg onload").waitFor();
  await page.getByRole("heading", { name: `<img src=x onerror="${RUN}">` }).waitFor();
  await page.getByRole("searchbox", { name: "Search messages" }).fill("onerror");
  await page.getByRole("list", { name: "Search results" }).waitFor();
  await page.getByRole("button", { name: "New conversation" }).click();
  await page.getByRole("option").first().waitFor();
  assert.equal(await page.evaluate(() => window.hostile), undefined);
});
