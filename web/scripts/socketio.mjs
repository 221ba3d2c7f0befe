// Puts the Socket.IO client (MIT) beside the page, for front ends that load it from their server: /socket.io/socket.io.js.
// Where it isn't installed the daemon says so there, with a 404.
import { copyFileSync, existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const client = path("../node_modules/socket.io-client/dist/socket.io.min.js");

if (existsSync(client)) {
  copyFileSync(client, path("../../chatd/http/page/socket.io.js"));
} else {
  console.warn("socket.io-client is not installed: /socket.io/socket.io.js will be a 404");
}
