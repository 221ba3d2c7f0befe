// Uploads a file by a real tus-js-client: node tus.mjs SERVER FILE USER. Prints what became of it as JSON.
import { createReadStream, statSync } from "node:fs";
import { Upload } from "tus-js-client";

const [server, path, user] = process.argv.slice(2);
let attachment;
const upload = new Upload(createReadStream(path), {
  endpoint: `${server}/v1/uploads`,
  uploadSize: statSync(path).size,
  metadata: { filename: "scan.pdf" },
  headers: { "X-Chatd-User": user },
  retryDelays: [0, 100, 200, 400, 800, 1600],
  onAfterResponse: (_, response) => (attachment = response.getHeader("Attachment-Id") ?? attachment),
  onSuccess: () => console.log(JSON.stringify({ attachment, url: upload.url })),
  onError: (error) => {
    console.log(JSON.stringify({ error: String(error) }));
    process.exitCode = 1;
  },
});
upload.start();
