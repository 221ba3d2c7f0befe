import { brotliCompressSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { build, type Rollup } from "vite";
import { expect, it } from "vitest";

const BUDGET_BYTES = 20_000;

it("the whole client is under 20 kB as brotli", { timeout: 60_000 }, async () => {
  const entry = fileURLToPath(new URL("../src/index.ts", import.meta.url));
  const built = await build({
    configFile: false,
    logLevel: "silent",
    build: {
      write: false,
      minify: true,
      target: "es2022",
      rollupOptions: { input: entry, preserveEntrySignatures: "strict" },
    },
  });
  const { output } = built as Rollup.RollupOutput;
  const code = output.flatMap((part) => (part.type === "chunk" ? [part.code] : [])).join("");
  expect(code).toContain("chat.v1.json"); // the whole of it
  expect(brotliCompressSync(code).length).toBeLessThan(BUDGET_BYTES);
});
