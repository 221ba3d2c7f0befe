// People in browsers of their own, signed in to the app of examples/nextjs; what goes wrong in their pages.
import { createRequire } from "node:module";

const { chromium } = createRequire(new URL("../../web/package.json", import.meta.url))("playwright-core");

export const { site, chromium: executablePath, shots } = JSON.parse(await new Response(process.stdin).text());
export const SOON = { timeout: 60_000 };
export const problems = [];
const PASSWORD = "example-password";
const opened = [];

export async function person(email) {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  opened.push(browser);
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
  page.on("pageerror", (error) => problems.push(`${email}: ${error.message}`));
  page.on("console", (line) => {
    if (line.type() === "error") problems.push(`${email}: ${line.text()}`);
  });
  await page.goto(`${site}/sign-in`);
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Dentists" }).waitFor(SOON);
  return page;
}

export const send = async (page, text) => {
  await page.getByRole("textbox", { name: "Message", exact: true }).fill(text);
  await page.getByRole("button", { name: "Send", exact: true }).click();
};

export const shows = (page, text) => page.getByRole("log").getByRole("article").filter({ hasText: text });

/** Writes a message by the site's own server, with Prisma. Returns the answer's status. */
export const appointment = (page, conversationId, at) =>
  page.evaluate(
    async (body) => (await fetch("/api/appointments", { method: "POST", body: JSON.stringify(body) })).status,
    { conversationId, at },
  );

export async function end() {
  for (const browser of opened) await browser.close();
}
