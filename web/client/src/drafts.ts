import type { Draft } from "./api.js";
import type { Database, DraftRow, Write } from "./database.js";
import type { Environment } from "./environment.js";
import type { Id, Seq } from "./protocol.gen.js";
import { Store } from "./store.js";
import type { TabMessage } from "./tabs.js";

/** Between two writes of drafts; the first is at once: a page that is left right away may not get to its last words. */
const WRITE_EVERY_MS = 300;

/** Drafts: texts typed and not sent, by conversation; kept in storage, the same in all tabs. */
export class Drafts {
  readonly all = new Store<ReadonlyMap<Id, Draft> | null>(() =>
    this.ready || this.drafts.size ? new Map(this.drafts) : null,
  );
  protected readonly drafts = new Map<Id, Draft>();
  private readonly unwritten = new Set<Id>();
  protected user: Id | null = null;
  private ready = false;
  private timer: unknown;

  constructor(
    protected readonly env: Environment,
    private readonly database: Database,
    private readonly tell: (message: TabMessage) => void,
  ) {}

  async use(user: Id): Promise<void> {
    if (this.user === user) return;
    const early = this.user === null ? [...this.drafts.values()] : [];
    this.clear();
    this.user = user;
    for (const draft of early) this.set(draft.conversation, draft.text, draft.replyTo);
    const rows = await this.database.all("drafts", user);
    if (this.user !== user) return;
    for (const row of rows) {
      if (!this.drafts.has(row.conversation) && !this.unwritten.has(row.conversation)) this.keep(row);
    }
    this.ready = true;
    this.all.invalidate();
  }

  /** Forgets all, in memory only. */
  clear(): void {
    this.env.clearTimeout(this.timer);
    this.timer = undefined;
    this.drafts.clear();
    this.unwritten.clear();
    this.user = null;
    this.ready = false;
    this.all.invalidate();
  }

  set(conversation: Id, text: string, replyTo: Seq | null): void {
    const held = this.drafts.get(conversation);
    if ((held?.text ?? "") === text && (held?.replyTo ?? null) === replyTo) return;
    if (text === "" && replyTo === null) this.drafts.delete(conversation);
    else this.drafts.set(conversation, { conversation, text, replyTo, changedAt: this.env.now() });
    this.unwritten.add(conversation);
    if (this.timer === undefined) this.writeNow();
    this.all.invalidateNow();
  }

  /** Writes what waits, and looks again while there is something. */
  private writeNow(): void {
    this.flush();
    this.timer = this.env.setTimeout(() => {
      this.timer = undefined;
      if (this.unwritten.size) this.writeNow();
    }, WRITE_EVERY_MS);
  }

  /** Writes at once what waits to be written: the page may be gone in a moment. */
  flush(): void {
    this.env.clearTimeout(this.timer);
    this.timer = undefined;
    const { user } = this;
    if (user === null || !this.unwritten.size) return;
    const writes: Write[] = [];
    for (const conversation of this.unwritten) {
      const draft = this.drafts.get(conversation);
      const row = draft && { ...draft, user };
      writes.push(row ? { store: "drafts", put: row } : { store: "drafts", delete: [user, conversation] });
      this.tell(row ? { type: "draft", user, row } : { type: "draft-gone", user, conversation });
    }
    this.unwritten.clear();
    void this.database.write(...writes);
  }

  /** A draft that becomes a message: gone in all tabs; returns what has to be written together with the message. */
  spend(conversation: Id): Write[] {
    const text = this.drafts.get(conversation)?.text;
    this.drafts.delete(conversation);
    this.unwritten.delete(conversation);
    this.all.invalidate();
    const { user } = this;
    if (user === null) return [];
    this.tell({ type: "draft-gone", user, conversation, text });
    return [{ store: "drafts", delete: [user, conversation] }];
  }

  hear(message: TabMessage): void {
    if (message.user !== this.user) return;
    if (message.type === "draft-gone") {
      this.drafts.delete(message.conversation);
      this.unwritten.delete(message.conversation);
    } else if (message.type === "draft") {
      this.keep(message.row);
    } else {
      return;
    }
    this.all.invalidate();
  }

  protected keep({ conversation, text, replyTo, changedAt }: DraftRow): void {
    this.drafts.set(conversation, { conversation, text, replyTo, changedAt });
  }
}
