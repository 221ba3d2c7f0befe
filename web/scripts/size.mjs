// Fails where the first load of the built page is over its budget: the document and all that it names, as brotli.
import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const BUDGET_BYTES = 120_000;
const BUILT = fileURLToPath(new URL("../../chatd/http/page/", import.meta.url));

const html = readFileSync(`${BUILT}index.html`, "utf8");
const named = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map(([, path]) => path);
let total = 0;
for (const path of ["index.html", ...named]) {
  const { size } = statSync(`${BUILT}${path}.br`);
  total += size;
  console.log(`${String(size).padStart(8)}  ${path}`);
}
console.log(`${String(total).padStart(8)}  of ${BUDGET_BYTES}`);
process.exitCode = total > BUDGET_BYTES ? 1 : 0;
