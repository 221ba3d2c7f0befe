/** Staging of drafts and files that become part of a message. A client may do without: then a bundler drops it. */

import type { StagedFile } from "./api.js";
import type { Database, Write } from "./database.js";
import type { Files } from "./files.js";
import type { Unnumbered } from "./link.js";
import type { Network } from "./network.js";
import type { Id } from "./protocol.gen.js";
import type { Frame } from "./replica.js";
import type { TabMessage } from "./tabs.js";

export interface Staging {
  /** True if messages with files can be sent from here; else they wait for a client that can, and hold up nothing. */
  readonly uploads: boolean;
  /** Files of messages on their way. */
  readonly files: Pick<Files, "named" | "own" | "again" | "remove" | "retry" | "attachmentOf">;
  /** Files beside the draft of a conversation. */
  ofDraft(conversation: Id): readonly StagedFile[];
  /** They become those of a message, and the draft is gone; returns what has to be written together with it. */
  spend(conversation: Id, message: string): { readonly keys: readonly string[]; readonly writes: readonly Write[] };
  /** Works for a user from now on. */
  use(user: Id): Promise<unknown>;
  /** Files of messages that are no more go. */
  prune(isThere: (message: string) => boolean): void;
  /** A new connection. */
  resume(): void;
  hear(message: TabMessage): void;
  /** The page may be gone in a moment. */
  save(): void;
  /** No timer runs on, and no upload. */
  stop(): void;
  /** Nothing of the user stays in memory. */
  clear(): void;
}

/** Parts of the client that a staging uses. */
export interface StagingDuties {
  readonly network: Network;
  readonly database: Database;
  readonly online: () => boolean;
  /** Asks on the connection that there is. Rejects with a ChatError or LinkLost. */
  readonly ask: (request: Unnumbered) => Promise<Frame>;
  serverNow(): number;
  readonly tell: (message: TabMessage) => void;
  /** A file of an outbox entry changed. */
  fileChanged(message: string): void;
}

const nothing = () => undefined;
const none = () => [];

/** Neither drafts nor files: what another page of this browser has of them is left as it is, and waits for that. */
export const noStaging = (): Staging => ({
  uploads: false,
  files: { named: none, own: nothing, again: nothing, remove: nothing, retry: nothing, attachmentOf: () => null },
  ofDraft: none,
  spend: () => ({ keys: [], writes: [] }),
  use: () => Promise.resolve(),
  prune: nothing,
  resume: nothing,
  hear: nothing,
  save: nothing,
  stop: nothing,
  clear: nothing,
});
