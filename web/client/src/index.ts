export type * from "./api.js";
export type * from "./protocol.gen.js";
export { CLOSE } from "./protocol.gen.js";
export { ChatError, type ChatErrorCode } from "./errors.js";
export type { Environment } from "./environment.js";
export { type Transport, type TransportConnection, type TransportEvents } from "./transport.js";

import type { Client, ClientOptions } from "./api.js";
import { ChatClient } from "./client.js";

/** A client of the server at `options.url`; does nothing before `start`. */
export function createClient(options?: ClientOptions): Client {
  return new ChatClient(options);
}
