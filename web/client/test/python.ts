/** The Python side of the house: traces of its client, made when they are asked for. */

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../../", import.meta.url);
const PYTHON = fileURLToPath(new URL(".venv/bin/python", ROOT));
const SCRIPT = fileURLToPath(new URL("traces.py", import.meta.url));

/** Whether traces can be made here; with CHATD_TEST_STRICT=1 it is an error if not. */
export function pythonIsThere(): boolean {
  const there = existsSync(PYTHON);
  if (!there && process.env.CHATD_TEST_STRICT === "1") throw new Error(`${PYTHON} is missing: make .venv/.dev`);
  return there;
}

export interface Step {
  /** A conversation that is dropped, because the server does not know it (any more), or a frame. */
  readonly drop?: string;
  readonly frame?: { readonly type: string; readonly [field: string]: unknown };
  readonly request?: { readonly type: string; readonly [field: string]: unknown };
  readonly effect: Record<string, unknown>;
  readonly state: Record<string, unknown>;
}

export interface Trace {
  readonly name: string;
  readonly steps: readonly Step[];
}

export function traces(...what: string[]): Trace[] {
  const written = execFileSync(PYTHON, [SCRIPT, ...what], {
    encoding: "utf8",
    maxBuffer: 2 ** 30,
    timeout: 180_000,
    stdio: ["ignore", "pipe", "pipe"], // the daemon's log is shown where it fails only
  });
  return written
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Trace);
}
