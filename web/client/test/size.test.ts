import { brotliCompressSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { build, type Rollup } from "vite";
import { describe, expect, it } from "vitest";

const SMALLEST_BYTES = 15_000;
const WHOLE_BYTES = 19_000;
const PACKAGE = fileURLToPath(new URL("../src/index.ts", import.meta.url));

/** What an app does that only talks. */
const APP = `
const client = create({ url: "https://chat.example", signIn: { kind: "token", getToken } });
client.start();
client.onIncoming(({ conversation, message }) => client.markSeen(conversation, message.seq));
client.connection.subscribe(() => show(client.connection.getSnapshot()));
client.open("den-1").then((id) => {
  client.conversation(id).subscribe(() => show(client.conversation(id).getSnapshot()));
  client.send(id, "It hurts");
});`;

/** The app's bundle, by Vite as it comes. */
async function bundle(imports: string): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: "silent",
    plugins: [
      {
        name: "app",
        resolveId: (id) => (id === "app" ? "\0app" : id === "@chatd/client" ? PACKAGE : null),
        load: (id) => (id === "\0app" ? `import ${imports} from "@chatd/client";${APP}` : null),
      },
    ],
    build: { write: false, minify: true, target: "es2022", rollupOptions: { input: "app" } },
  });
  const { output } = built as Rollup.RollupOutput;
  return output.flatMap((part) => (part.type === "chunk" ? [part.code] : [])).join("");
}

describe("the client in an app's bundle, as brotli", () => {
  it("is under 15 kB where the app only talks", { timeout: 60_000 }, async () => {
    const code = await bundle("{ createCoreClient as create }");
    expect(code).toContain("chat.v1.json");
    for (const left of ["Upload-Offset", "/v1/session", "XMLHttpRequest"]) expect(code).not.toContain(left);
    expect(brotliCompressSync(code).length).toBeLessThan(SMALLEST_BYTES);
  });

  it("is under 19 kB with all that there is", { timeout: 60_000 }, async () => {
    const code = await bundle("{ createClient as create }");
    for (const part of ["chat.v1.json", "Upload-Offset", "/v1/session"]) expect(code).toContain(part);
    expect(brotliCompressSync(code).length).toBeLessThan(WHOLE_BYTES);
  });
});
