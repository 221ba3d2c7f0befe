// Files as phones and desks make them, by the code that the daemon's own tests have for it.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PYTHON = process.env.PYTHON ?? `${ROOT}.venv/bin/python`;

/** What an expression of tests/support/pictures.py gives. */
export function sample(expression) {
  const code = `import sys; from tests.support import pictures; sys.stdout.buffer.write(pictures.${expression})`;
  const { status, stdout, stderr } = spawnSync(PYTHON, ["-c", code], { cwd: ROOT, maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(String(stderr));
  return stdout;
}

export const file = (name, mimeType, buffer) => ({ name, mimeType, buffer });
export const photo = (name = "tooth.jpg", options = "size=(640, 480)") =>
  file(name, "image/jpeg", sample(`jpeg(${options})`));

export const input = (page) => page.locator("input[type=file]");
export const staged = (page) => page.getByRole("list", { name: "Attached files" }).getByRole("listitem");

/** Sends a file by the daemon's HTTP, as a development user. */
export async function sendFile(daemon, user, conversation, { name, mimeType, buffer }, body = "") {
  const form = new FormData();
  form.append("file", new Blob([buffer], { type: mimeType }), name);
  const headers = { "X-Chatd-User": user };
  const answer = await fetch(`${daemon.url}/v1/attachments`, { method: "POST", headers, body: form });
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${await answer.text()}`);
  const { id } = await answer.json();
  const client_id = crypto.randomUUID();
  await daemon.ask(user, { type: "message.send", conversation, client_id, body, attachments: [id] });
  return id;
}
