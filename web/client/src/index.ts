export type * from "./api.js";
export type * from "./protocol.gen.js";
export { CLOSE } from "./protocol.gen.js";
export { ChatError, type ChatErrorCode } from "./errors.js";
export type { Environment } from "./environment.js";
export type { Network } from "./network.js";
export { webSocketOrPolling } from "./fallback.js";
export { type Transport, type TransportConnection, type TransportEvents, webSocket } from "./transport.js";

import type { Client, ClientOptions, CoreClient, EditingClient } from "./api.js";
import { ChatClient } from "./client.js";
import { CoreChatClient } from "./core-client.js";
import { DraftsAndFiles } from "./drafts-and-files.js";
import { EditingChatClient } from "./editing-client.js";
import { noStaging } from "./staging.js";
import { webSocket } from "./transport.js";

/** A client of the server at `options.url`, with drafts and files; does nothing before `start`. */
export function createClient(options: ClientOptions = {}): Client {
  return new ChatClient(options, (duties) => new DraftsAndFiles(duties));
}

/** The same with edits that survive the page, a lost connection and a refusal: for pages that show them. */
export function createEditingClient(options?: ClientOptions): EditingClient {
  return new EditingChatClient(options);
}

/**
 * A client without drafts and files, over a WebSocket alone unless `options.transport` is `webSocketOrPolling`: what
 * isn't named is not in the app's bundle. In all else it is as that of `createClient`.
 */
export function createCoreClient(options: ClientOptions = {}): CoreClient {
  return new CoreChatClient(options, { transport: webSocket, staging: noStaging });
}
