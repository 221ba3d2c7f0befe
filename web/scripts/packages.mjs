// Builds the packages (into a folder that is named: as npm would have them), and fails where npm would get anything but the build, its types and source map, README and package.json.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const WEB = fileURLToPath(new URL("..", import.meta.url));
const NEEDED = ["README.md", "dist/index.d.ts", "dist/index.js", "dist/index.js.map", "package.json"];
const ALLOWED = /^(README\.md|package\.json|dist\/index\.js(\.map)?|dist\/[\w.-]+\.d\.ts)$/;

const run = (...args) =>
  execFileSync("npm", args, { cwd: WEB, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

for (const name of ["client", "react"]) {
  run("run", "--silent", "build", "-w", `@chatd/${name}`);
  const [{ files, size }] = JSON.parse(run("pack", "--dry-run", "--json", "-w", `@chatd/${name}`));
  const paths = files.map(({ path }) => path);
  const missing = NEEDED.filter((path) => !paths.includes(path));
  const strange = paths.filter((path) => !ALLOWED.test(path));
  if (process.argv[2]) run("pack", "-w", `@chatd/${name}`, "--pack-destination", process.argv[2]);
  console.log(`@chatd/${name}: ${paths.length} files, ${size} bytes`);
  for (const path of missing) console.error(`@chatd/${name} lacks ${path}`);
  for (const path of strange) console.error(`@chatd/${name} has ${path}, which is none of its users' business`);
  if (missing.length + strange.length > 0) process.exitCode = 1;
}
