// Writes dist/*.d.ts of the package in the current folder: what its own src/ declares, nothing of
// what it bundles or of its components.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const WEB = fileURLToPath(new URL("..", import.meta.url));
const out = mkdtempSync(join(tmpdir(), "chatd-types-"));
try {
  const flags = ["--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--rootDir", WEB, "--outDir", out];
  const done = spawnSync(join(WEB, "node_modules/.bin/tsc"), ["-p", ".", ...flags], { stdio: "inherit" });
  if (done.status !== 0) process.exit(done.status ?? 1);
  const made = join(out, basename(process.cwd()), "src");
  for (const file of readdirSync(made, { recursive: true })) {
    if (String(file).endsWith(".d.ts") && !String(file).startsWith("components"))
      cpSync(join(made, String(file)), join("dist", String(file)));
  }
} finally {
  rmSync(out, { recursive: true });
}
