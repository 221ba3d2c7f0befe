import type { DraftRow, Write } from "./database.js";
import { Drafts } from "./drafts.js";
import type { Id, Seq } from "./protocol.gen.js";
import type { TabMessage } from "./tabs.js";

/** Time after the last change during which a tab's text is its own, whatever another tab says. */
const TYPING_MS = 3_000;

/** Drafts that no other tab overwrites while they are typed here; where both typed, no words are lost. */
export class TypedDrafts extends Drafts {
  /** Drafts that are typed here now, each with what another tab wrote meanwhile. */
  private readonly typed = new Map<Id, { theirs?: DraftRow }>();

  override set(conversation: Id, text: string, replyTo: Seq | null): void {
    const typed = { ...this.typed.get(conversation) };
    this.typed.set(conversation, typed);
    this.env.setTimeout(() => {
      if (this.typed.get(conversation) === typed) this.paused(conversation, typed);
    }, TYPING_MS);
    super.set(conversation, text, replyTo);
  }

  override spend(conversation: Id): Write[] {
    this.typed.delete(conversation);
    return super.spend(conversation);
  }

  override clear(): void {
    this.typed.clear();
    super.clear();
  }

  override hear(message: TabMessage): void {
    if (message.user !== this.user) return;
    if (message.type === "draft") {
      const typed = this.typed.get(message.row.conversation);
      if (typed) typed.theirs = message.row;
      else super.hear(message);
    } else if (message.type === "draft-gone") {
      const { conversation, text } = message;
      const typed = this.typed.get(conversation);
      if (typed) delete typed.theirs;
      if (typed && this.drafts.get(conversation)?.text !== text) return;
      this.typed.delete(conversation);
      super.hear(message);
    }
  }

  /** Takes in what another tab wrote meanwhile: where neither has the other's words, the later one gets both. */
  private paused(conversation: Id, { theirs }: { theirs?: DraftRow }): void {
    this.typed.delete(conversation);
    const { text = "", replyTo = null, changedAt = 0 } = this.drafts.get(conversation) ?? {};
    if (!theirs || text.includes(theirs.text)) return;
    if (theirs.text.includes(text)) this.keep(theirs);
    else if (changedAt >= theirs.changedAt) this.set(conversation, `${text}\n${theirs.text}`, replyTo);
    this.all.invalidate();
  }
}
