import type { Client, ClientOptions } from "./api.js";
import { CoreChatClient } from "./core-client.js";
import type { DraftsAndFiles } from "./drafts-and-files.js";
import { webSocketOrPolling } from "./fallback.js";
import type { Attachment, Id, Seq } from "./protocol.gen.js";
import type { StagingDuties } from "./staging.js";

/** A client with drafts and files. */
export class ChatClient<S extends DraftsAndFiles = DraftsAndFiles> extends CoreChatClient<S> implements Client {
  readonly drafts;
  readonly staged;

  constructor(options: ClientOptions, staging: (duties: StagingDuties) => S) {
    super(options, { transport: webSocketOrPolling, staging });
    const { drafts, files } = this.engine.staging;
    this.drafts = drafts.all;
    this.staged = files.drafts;
  }

  attach(conversation: Id, file: Blob, name: string): string {
    return this.engine.staging.files.add(conversation, file, name);
  }

  detach(key: string): void {
    this.engine.staging.files.remove(key);
  }

  retryFile(key: string): void {
    this.engine.staging.files.retry(key);
  }

  fileUrl(file: Attachment, which: "whole" | "thumbnail" = "whole"): string | Promise<string> {
    return this.engine.staging.links.url(file, which);
  }

  setDraft(conversation: Id, text: string, replyTo: Seq | null = null): void {
    this.engine.staging.drafts.set(conversation, text, replyTo);
  }
}
