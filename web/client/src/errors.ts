import type { ErrorCode, ErrorReply } from "./protocol.gen.js";

/** `closed`: the client was stopped, or its session ended. `aborted`: by the caller's signal. */
export type ChatErrorCode = ErrorCode | "closed" | "aborted";

export interface ChatErrorFields {
  readonly code: ChatErrorCode;
  readonly message: string;
  readonly temporary: boolean;
  readonly retryAfter?: number | null;
}

/** A request that was refused. `temporary`: the same may succeed later, in `retryAfter` s where that is given. */
export class ChatError extends Error {
  override readonly name = "ChatError";
  readonly code: ChatErrorCode;
  readonly temporary: boolean;
  readonly retryAfter: number | null;

  constructor({ code, message, temporary, retryAfter = null }: ChatErrorFields) {
    super(message);
    this.code = code;
    this.temporary = temporary;
    this.retryAfter = retryAfter;
  }

  static of(reply: ErrorReply): ChatError {
    const { code, message, temporary, retry_after: retryAfter } = reply;
    return new ChatError({ code, message, temporary, retryAfter });
  }
}
