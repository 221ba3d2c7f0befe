/** One file to the server: small ones in one go, large ones by tus 1.0, which goes on where a lost connection left off. */

import { ChatError } from "./errors.js";
import type { Attachment, ErrorCode, Id } from "./protocol.gen.js";
import type { TransferAnswer, TransferRequest } from "./transfer.js";

/** Up to so many bytes a file goes in one request. */
export const WHOLE_BYTES = 4_194_304;
/** Bytes that one request of a large file carries: after a lost connection at most these go again. */
const PART_BYTES = 8_388_608;
const TUS = { "Tus-Resumable": "1.0.0" };
/** Header in which the last answer to a tus upload, and each HEAD after it, names the attachment. */
const ATTACHMENT_HEADER = "Attachment-Id";

export interface Outgoing {
  readonly blob: Blob;
  readonly name: string;
  readonly type: string;
  /** Address at which an upload that began earlier goes on. */
  readonly location: string | null;
}

export interface UploadDuties {
  transfer(request: TransferRequest): Promise<TransferAnswer>;
  /** The server, without a path. */
  origin(): string;
  /** Headers that say who asks; asked for anew for each request. */
  authorize(): Promise<Record<string, string>>;
  readonly withCredentials: boolean;
}

export interface UploadEvents {
  readonly signal: AbortSignal;
  onProgress(sent: number): void;
  /** A large file has an address from now on, under which it goes on. */
  onLocation(location: string | null): void;
}

/** The attachment's id. Rejects with a ChatError where the file is refused, with any other error where nothing answered. */
export async function upload(file: Outgoing, duties: UploadDuties, events: UploadEvents): Promise<Id> {
  const large = file.blob.size > WHOLE_BYTES;
  return large ? new TusUpload(file, duties, events).run() : whole(file, duties, events);
}

async function whole(file: Outgoing, duties: UploadDuties, events: UploadEvents): Promise<Id> {
  const form = new FormData();
  form.append("file", file.blob, file.name);
  const answer = await ask(duties, events, { method: "POST", url: `${duties.origin()}/v1/attachments`, body: form });
  if (answer.status !== 201) throw refusalOf(answer);
  return (JSON.parse(answer.text) as Attachment).id;
}

class TusUpload {
  private location: string | null;
  private attachment: Id | null = null;

  constructor(
    private readonly file: Outgoing,
    private readonly duties: UploadDuties,
    private readonly events: UploadEvents,
  ) {
    this.location = file.location;
  }

  async run(): Promise<Id> {
    const { size } = this.file.blob;
    let offset = await this.offset();
    while (this.attachment === null) {
      const answer = await this.part(offset);
      if (answer.status === 409 || answer.status === 423) {
        offset = await this.offset();
        continue;
      }
      if (answer.status !== 204) throw refusalOf(answer);
      offset = Number(answer.header("Upload-Offset"));
      this.events.onProgress(offset);
      this.attachment = answer.header(ATTACHMENT_HEADER);
      if (offset >= size && this.attachment === null) throw internal("the upload ended without an attachment");
    }
    return this.attachment;
  }

  /** Bytes that the server has; 0 of an upload that begins. */
  private async offset(): Promise<number> {
    if (this.location !== null) {
      const answer = await this.ask({ method: "HEAD", url: this.location, body: null });
      if (answer.status === 200) {
        const offset = Number(answer.header("Upload-Offset"));
        this.events.onProgress(offset);
        this.attachment = answer.header(ATTACHMENT_HEADER);
        if (this.attachment !== null || offset < this.file.blob.size) return offset;
      } else if (answer.status >= 500) {
        throw refusalOf(answer);
      }
      this.at(null); // gone or expired
    }
    await this.create();
    return 0;
  }

  private async create(): Promise<void> {
    const { name, type, blob } = this.file;
    const answer = await this.ask({
      method: "POST",
      url: `${this.duties.origin()}/v1/uploads`,
      headers: {
        "Upload-Length": String(blob.size),
        "Upload-Metadata": `filename ${base64(name)},filetype ${base64(type)}`,
      },
      body: null,
    });
    const location = answer.header("Location");
    if (answer.status !== 201 || location === null) throw refusalOf(answer);
    this.at(new URL(location, `${this.duties.origin()}/v1/uploads`).href);
  }

  private part(offset: number): Promise<TransferAnswer> {
    return this.ask({
      method: "PATCH",
      url: this.location ?? "",
      headers: { "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" },
      body: this.file.blob.slice(offset, offset + PART_BYTES),
      from: offset,
    });
  }

  private ask({ headers = {}, ...request }: Asked): Promise<TransferAnswer> {
    return ask(this.duties, this.events, { ...request, headers: { ...TUS, ...headers } });
  }

  private at(location: string | null): void {
    this.location = location;
    this.events.onLocation(location);
  }
}

type Asked = Pick<TransferRequest, "method" | "url" | "body"> & {
  readonly headers?: Record<string, string>;
  /** Bytes of the file that came before this body. */
  readonly from?: number;
};

async function ask(
  { transfer, authorize, withCredentials }: UploadDuties,
  { signal, onProgress }: UploadEvents,
  { from = 0, headers = {}, ...request }: Asked,
): Promise<TransferAnswer> {
  const who = await authorize();
  return transfer({
    ...request,
    headers: { ...headers, ...who },
    withCredentials,
    signal,
    ...(request.body
      ? {
          onProgress: (sent: number) => {
            onProgress(from + sent);
          },
        }
      : {}),
  });
}

/** Returns the error of an answer other than success. */
function refusalOf({ status, text, header }: TransferAnswer): ChatError {
  let told: { code?: ErrorCode; message?: string; temporary?: boolean } = {};
  try {
    told = JSON.parse(text) as typeof told;
  } catch {
    // An answer of tus, or of a proxy: in plain words, or none.
  }
  const retryAfter = Number(header("Retry-After")) || null;
  const passing = status === 408 || status === 425 || status === 429 || status >= 500;
  return new ChatError({
    code: told.code ?? codeOf(status),
    message: told.message ?? `the server answered ${status}`,
    temporary: told.temporary ?? passing,
    retryAfter,
  });
}

function codeOf(status: number): ErrorCode {
  if (status === 401) return "unauthorized";
  if (status === 403) return "forbidden";
  if (status === 404 || status === 410) return "not_found";
  if (status === 413) return "too_large";
  return status >= 500 ? "unavailable" : "bad_request";
}

const internal = (message: string) => new ChatError({ code: "internal", message, temporary: true });

function base64(text: string): string {
  let bytes = "";
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return btoa(bytes);
}
