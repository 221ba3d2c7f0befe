// A real daemon and a real browser for the end-to-end tests, and short words for what the tests do in them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, afterEach, before } from "node:test";
import { request } from "node:http";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const CHATD = process.env.CHATD ?? (existsSync(`${ROOT}.venv/bin/chatd`) ? `${ROOT}.venv/bin/chatd` : "chatd");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const START_MS = 20_000;

/** `chatd serve` in a folder of its own; killed and started again on the same port and data. */
export class Daemon {
  constructor({ flags = ["--dev"], port = 0 } = {}) {
    this.folder = mkdtempSync(join(tmpdir(), "chatd-e2e-"));
    this.flags = flags;
    this.port = port;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async start() {
    const flags = ["serve", ...this.flags, "--data", join(this.folder, "data"), "--port", String(this.port)];
    const log = openSync(join(this.folder, "log"), "a");
    this.process = spawn(CHATD, flags, { cwd: this.folder, stdio: ["ignore", "pipe", log] });
    closeSync(log);
    const lines = createInterface({ input: this.process.stdout });
    const timer = setTimeout(() => this.process.kill("SIGKILL"), START_MS);
    for await (const line of lines) {
      const [, port] = /listening on http:\/\/[^:]+:(\d+)/.exec(line) ?? [];
      if (!port) continue;
      clearTimeout(timer);
      this.port = Number(port);
      this.process.stdout.resume();
      return this;
    }
    throw new Error(`the daemon did not start:\n${readFileSync(join(this.folder, "log"), "utf8")}`);
  }

  async kill(signal = "SIGKILL") {
    const { process } = this;
    if (process.exitCode !== null || process.signalCode !== null) return;
    const gone = once(process, "exit");
    process.kill(signal);
    await gone;
  }

  /** Runs `chatd` with arguments in the daemon's folder. */
  async run(args, input = "") {
    const child = spawn(CHATD, args, { cwd: this.folder, stdio: ["pipe", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    child.stdin.end(input);
    const [code] = await once(child, "close");
    if (code !== 0) throw new Error(`chatd ${args.join(" ")}: ${output}`);
    return output;
  }

  async stop() {
    await this.kill("SIGTERM");
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** One request of the protocol by HTTP, as a development user: what happens behind the page's back. */
  async ask(user, asked) {
    const response = await fetch(`${this.url}/v1/requests`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Chatd-User": user },
      body: JSON.stringify(asked),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${asked.type}: ${JSON.stringify(answer)}`);
    return answer;
  }

  /** Makes somebody known by name and role, as a first `hello` does. */
  async known(user, name, role) {
    const upgrade = request(`${this.url}/ws`, {
      headers: {
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
      },
    }).end();
    const [, socket] = await once(upgrade, "upgrade");
    const text = Buffer.from(JSON.stringify({ type: "hello", id: 1, user, name, role }));
    const length = Buffer.alloc(2);
    length.writeUInt16BE(text.length);
    const mask = Buffer.alloc(4); // of zeros: the text as it is
    socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | 126]), length, mask, text]));
    await once(socket, "data");
    socket.destroy();
  }

  async readAll(user, conversation) {
    const { info } = await this.ask(user, { type: "conversation.get", conversation });
    await this.ask(user, { type: "receipt", conversation, read: info.last_seq });
  }

  /** Sends texts one after another; returns the conversation of the two. */
  async say(from, to, texts) {
    const { conversation } = await this.ask(from, { type: "conversation.open", with: to });
    for (const body of texts) {
      const client_id = crypto.randomUUID();
      await this.ask(from, { type: "message.send", conversation, client_id, body });
    }
    return conversation;
  }
}

export const LAUNCH = {
  executablePath: CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"],
};

export function launch(options = {}) {
  return chromium.launch({ ...LAUNCH, ...options });
}

export const DESKTOP = { width: 1200, height: 800 };
export const PHONE = { width: 390, height: 844 };

/** A browser profile of its own with one page; errors of the page fail the test. */
export async function visitor(browser, url, { prepare, ...options } = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, locale: "en-GB", ...options });
  const page = await context.newPage();
  watchErrors(page);
  await prepare?.(page);
  await page.goto(url);
  return page;
}

const errors = [];

export function watchErrors(page) {
  page.on("pageerror", (error) => errors.push(`${error.stack}`));
  page.on("console", (message) => {
    const text = message.text();
    if (/Content Security Policy|Refused to/.test(text)) errors.push(text);
  });
}

/** Throws what pages complained of since the last call. */
export function noErrors() {
  const found = errors.splice(0);
  if (found.length > 0) throw new Error(found.join("\n"));
}

export function as(daemon, user, { name, role, other } = {}) {
  const query = new URLSearchParams({ as: user });
  if (name) query.set("name", name);
  if (role) query.set("role", role);
  if (other) query.set("with", other);
  return `${daemon.url}/?${query}`;
}

export const ADA = { user: "pat-1", name: "Ada Lovelace", role: "patient" };
export const BO = { user: "den-1", name: "Dr. Bo Dahl", role: "dentist" };

/** A patient and a dentist in two browsers, in their conversation. */
export async function pair(daemon, browser, options = {}) {
  const ada = await visitor(browser, as(daemon, ADA.user, { ...ADA, other: BO.user }), options);
  const bo = await visitor(browser, as(daemon, BO.user, { ...BO, other: ADA.user }), options);
  await Promise.all([composer(ada).waitFor(), composer(bo).waitFor()]);
  return { ada, bo };
}

export const composer = (page) => page.getByRole("textbox", { name: "Message", exact: true });
export const log = (page) => page.getByRole("log", { name: "Messages" });
export const article = (page, text) => log(page).getByRole("article").filter({ hasText: text });
export const row = (page, text) =>
  page.getByRole("navigation", { name: "Conversations" }).getByRole("link").filter({ hasText: text });

export async function write(page, text) {
  await composer(page).fill(text);
  await page.keyboard.press("Enter");
}

/** Until `check` gives something true. */
export async function until(check, { ms = 10_000, every = 50, what = check } = {}) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

/** The daemon and the browser of a test file, and their end. */
export function setUp(options) {
  const world = { daemon: new Daemon(options), browser: null };
  before(async () => {
    [, world.browser] = await Promise.all([world.daemon.start(), launch()]);
  });
  afterEach(async () => {
    await Promise.all(world.browser.contexts().map((context) => context.close()));
    noErrors();
  });
  after(async () => {
    await world.browser?.close();
    await world.daemon.stop();
  });
  return world;
}

/** Headless pages all have the focus; this takes it, or gives it back. */
export function setFocused(page, focused) {
  return page.evaluate((has) => {
    document.hasFocus = () => has;
    window.dispatchEvent(new Event(has ? "focus" : "blur"));
  }, focused);
}

/** Opens the page as Bo, in the conversation with Ada. */
export async function openAsBo(world, conversation, options) {
  const page = await visitor(world.browser, `${as(world.daemon, BO.user, BO)}#conversation=${conversation}`, options);
  await composer(page).waitFor();
  return page;
}

/** A conversation of Ada and Bo with so many messages of mixed heights, from both. */
export async function filled(daemon, count, { prefix = "Line" } = {}) {
  await daemon.known(ADA.user, ADA.name, ADA.role);
  await daemon.known(BO.user, BO.name, BO.role);
  const texts = Array.from(
    { length: count },
    (_, n) => `${prefix} ${n + 1}. ${"words to fill it ".repeat((n * 7) % 23)}`,
  );
  const half = Math.ceil(count / 2);
  const conversation = await daemon.say(ADA.user, BO.user, texts.slice(0, half));
  await daemon.say(BO.user, ADA.user, texts.slice(half));
  await daemon.readAll(BO.user, conversation);
  return conversation;
}

export const distanceFromBottom = (page) =>
  log(page).evaluate((view) => view.scrollHeight - view.clientHeight - view.scrollTop);
