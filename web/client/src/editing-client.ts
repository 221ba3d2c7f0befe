import type { ClientOptions, EditingClient, SignOutResult } from "./api.js";
import { ChatClient } from "./client.js";
import { DraftsAndFiles } from "./drafts-and-files.js";
import { Edits } from "./edits.js";
import type { Id, Seq } from "./protocol.gen.js";
import type { StagingDuties } from "./staging.js";
import type { TabMessage } from "./tabs.js";
import { TypedDrafts } from "./typed-drafts.js";

class WithEdits extends DraftsAndFiles {
  readonly edits: Edits;

  constructor(duties: StagingDuties) {
    super(duties, TypedDrafts);
    const free = (id: Id) => !this.drafts.all.getSnapshot()?.get(id) && this.ofDraft(id).length === 0;
    const { online, ask, tell } = duties;
    this.edits = new Edits(duties.network.env, duties.database, { online, ask, tell, free });
  }

  override async use(user: Id): Promise<void> {
    await Promise.all([super.use(user), this.edits.use(user)]);
  }

  override resume(): void {
    super.resume();
    this.edits.flush();
  }

  override hear(message: TabMessage): void {
    super.hear(message);
    this.edits.hear(message);
  }

  override stop(): void {
    super.stop();
    this.edits.stop();
  }

  override clear(): void {
    super.clear();
    this.edits.clear();
  }
}

/** A client that keeps edits as well as drafts and files; no other tab overwrites what is typed. */
export class EditingChatClient extends ChatClient<WithEdits> implements EditingClient {
  readonly edits;
  readonly waitingEdits;

  constructor(options: ClientOptions = {}) {
    super(options, (duties) => new WithEdits(duties));
    const { edits } = this.engine.staging;
    this.edits = edits.all;
    this.waitingEdits = edits.waiting;
  }

  override async signOut({ discardUnsent = false } = {}): Promise<SignOutResult> {
    await this.engine.stored();
    if (this.waitingEdits.getSnapshot().length > 0 && !discardUnsent)
      return { done: false, unsent: this.outbox.getSnapshot(), serverTold: false };
    return super.signOut({ discardUnsent });
  }

  beginEdit(conversation: Id, seq: Seq | null, body = ""): void {
    this.engine.staging.edits.begin(conversation, seq, body);
  }

  setEdit(conversation: Id, seq: Seq, text: string, base?: string): void {
    this.engine.staging.edits.set(conversation, seq, text, base);
  }

  saveEdit(conversation: Id, seq: Seq): void {
    this.engine.staging.edits.save(conversation, seq);
  }

  discardEdit(conversation: Id, seq: Seq): void {
    this.engine.staging.edits.discard(conversation, seq);
  }
}
