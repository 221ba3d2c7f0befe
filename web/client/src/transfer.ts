/** One HTTP request with a body whose way out can be watched, which `fetch` doesn't offer. */

export interface TransferRequest {
  readonly method: "POST" | "PATCH" | "HEAD";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Blob | FormData | null;
  /** True if cookies go along to another origin. */
  readonly withCredentials: boolean;
  /** Bytes of the body that are on their way. */
  readonly onProgress?: (sent: number) => void;
  readonly signal: AbortSignal;
}

export interface TransferAnswer {
  readonly status: number;
  readonly text: string;
  /** A header of the answer; null where there is none. */
  header(name: string): string | null;
}

/** Without an answer for as long as nothing moves, a connection is taken for dead. */
const STALLED_MS = 60_000;

/** Sends by XMLHttpRequest. Rejects where no answer came. */
export function transfer(request: TransferRequest): Promise<TransferAnswer> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    let stalled: ReturnType<typeof setTimeout>;
    const moved = () => {
      clearTimeout(stalled);
      stalled = setTimeout(() => {
        xhr.abort();
      }, STALLED_MS);
    };
    const abort = () => {
      xhr.abort();
    };
    xhr.open(request.method, request.url);
    xhr.withCredentials = request.withCredentials;
    for (const [name, value] of Object.entries(request.headers)) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = ({ loaded }) => {
      moved();
      request.onProgress?.(loaded);
    };
    xhr.onload = () => {
      resolve({ status: xhr.status, text: xhr.responseText, header: (name) => xhr.getResponseHeader(name) });
    };
    xhr.onerror = xhr.onabort = () => {
      reject(new Error("no answer"));
    };
    xhr.onloadend = () => {
      clearTimeout(stalled);
      request.signal.removeEventListener("abort", abort);
    };
    request.signal.addEventListener("abort", abort);
    moved();
    xhr.send(request.body);
  });
}
