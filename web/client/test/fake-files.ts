/** Where files go up, in memory: multipart and tus, and the ways to let an upload down. */

import type { TransferAnswer, TransferRequest } from "../src/transfer.js";

interface Refusal {
  readonly status: number;
  readonly code?: string;
  readonly temporary?: boolean;
}

interface Upload {
  readonly length: number;
  readonly metadata: string;
  parts: Uint8Array[];
  id: string | null;
}

const size = ({ parts }: Upload) => parts.reduce((sum, { length }) => sum + length, 0);

export class FakeFiles {
  /** Names of the files that arrived whole, in order. */
  readonly arrived: string[] = [];
  readonly asked: string[] = [];
  readonly headers: Readonly<Record<string, string>>[] = [];
  /** Nothing answers. */
  down = false;
  /** Answers wait until it is called. */
  hold: Promise<void> | null = null;
  refuse: (name: string) => Refusal | null = () => null;
  /** Connections of PATCH that are cut after so many bytes. */
  cuts: number[] = [];
  /** The answer to the last part of an upload is lost. */
  swallow = false;
  readonly uploads = new Map<string, Upload>();

  readonly transfer = async (request: TransferRequest): Promise<TransferAnswer> => {
    const path = new URL(request.url).pathname;
    this.asked.push(`${request.method} ${path}`);
    this.headers.push(request.headers);
    if (this.hold) await Promise.race([this.hold, aborted(request.signal)]);
    if (request.signal.aborted) throw new Error("aborted");
    if (this.down) throw new Error("no answer");
    if (path === "/v1/attachments") return this.whole(request);
    return path === "/v1/uploads" ? this.create(request) : this.part(path, request);
  };

  private whole({ body, onProgress }: TransferRequest): TransferAnswer {
    const file = (body as FormData).get("file") as File;
    onProgress?.(file.size / 2);
    const refusal = this.refuse(file.name);
    if (refusal) return answer(refusal.status, {}, { message: "no", ...refusal });
    return answer(201, {}, { id: this.arrive(file.name) });
  }

  private create({ headers }: TransferRequest): TransferAnswer {
    const path = `/v1/uploads/u${this.uploads.size + 1}`;
    const metadata = headers["Upload-Metadata"] ?? "";
    this.uploads.set(path, { length: Number(headers["Upload-Length"]), metadata, parts: [], id: null });
    return answer(201, { Location: `http://chat.test${path}` });
  }

  private async part(path: string, { method, headers, body }: TransferRequest): Promise<TransferAnswer> {
    const upload = this.uploads.get(path);
    if (!upload || headers["Tus-Resumable"] !== "1.0.0") return answer(404, {});
    if (method === "HEAD") {
      const id: Record<string, string> = upload.id === null ? {} : { "Attachment-Id": upload.id };
      return answer(200, { "Upload-Offset": String(size(upload)), ...id });
    }
    if (Number(headers["Upload-Offset"]) !== size(upload)) return answer(409, {});
    const bytes = new Uint8Array(await (body as Blob).arrayBuffer());
    const cut = this.cuts.shift();
    upload.parts.push(cut === undefined ? bytes : bytes.slice(0, cut));
    if (cut !== undefined) throw new Error("cut");
    const offset = String(size(upload));
    if (size(upload) < upload.length) return answer(204, { "Upload-Offset": offset });
    upload.id ??= this.arrive(atob(/filename (\S+?)(,|$)/.exec(upload.metadata)?.[1] ?? ""));
    if (this.swallow) throw new Error("the answer is lost");
    return answer(204, { "Upload-Offset": offset, "Attachment-Id": upload.id });
  }

  private arrive(name: string): string {
    this.arrived.push(name);
    return `a${this.arrived.length}`;
  }
}

function answer(status: number, headers: Record<string, string>, body: unknown = null): TransferAnswer {
  return { status, text: body === null ? "" : JSON.stringify(body), header: (name) => headers[name] ?? null };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => {
      resolve();
    });
  });
}
