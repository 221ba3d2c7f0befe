/** Pages: the messages of a conversation that are loaded, and those of them that are shown. */

import type { HeldConversation } from "./held.js";
import type { AskOptions, Unnumbered } from "./link.js";
import type { Id, Seq } from "./protocol.gen.js";
import type { Frame, Replica } from "./replica.js";
import type { ConversationView, Views } from "./views.js";

const PAGE_MESSAGES = 50;
/** Participants of a conversation whose changes list other people's watermarks. */
const MOVES_TOLD_UP_TO = 50;
/** Messages below the target of a jump that come with it. */
const JUMP_BELOW = 25;

type Ask = (request: Unnumbered, options?: AskOptions) => Promise<Frame>;

export class Pages {
  /** Requests under way, by conversation and direction: asked for once. */
  private readonly loading = new Map<string, Promise<void>>();
  /** The last jump of each conversation: an earlier one that comes in later shows nothing. */
  private readonly jumps = new Map<Id, Seq>();

  constructor(
    private readonly replica: Replica,
    private readonly views: Views,
    private readonly ask: Ask,
    private readonly maxPage: () => number,
  ) {}

  /** Loads a conversation that is not held, and fills the newest range up to a page. */
  load(id: Id): Promise<void> {
    const loaded = this.once(`load ${id}`, async () => {
      // Changes of a large conversation don't tell how far the others have read; the summary does.
      const quiet = (this.held(id)?.participants.size ?? Infinity) > MOVES_TOLD_UP_TO;
      if (quiet) await this.ask({ type: "conversation.get", conversation: id });
      const held = this.held(id);
      if (held && held.low > 1 && held.lastSeq - held.low + 1 < PAGE_MESSAGES) await this.newest(held);
    });
    this.views.changed(id);
    return loaded;
  }

  /** Returns true if the conversation is being loaded. */
  loads(id: Id): boolean {
    return this.loading.has(`load ${id}`);
  }

  older(id: Id, limit = PAGE_MESSAGES): Promise<void> {
    const held = this.held(id);
    const apart = this.shownApart(held);
    if (!held || (apart ?? held).low <= 1) return Promise.resolve();
    return this.marked(id, "loadingOlder", () => this.page(id, { before: (apart ?? held).low, limit }, apart !== null));
  }

  newer(id: Id, limit = PAGE_MESSAGES): Promise<void> {
    const apart = this.shownApart(this.held(id));
    if (!apart) return Promise.resolve();
    return this.marked(id, "loadingNewer", () => this.page(id, { after: apart.high, limit }, true));
  }

  async jumpTo(id: Id, seq: Seq): Promise<void> {
    this.jumps.set(id, seq);
    await this.load(id);
    if (!this.covered(id, seq)) {
      await this.page(id, { after: Math.max(0, seq - JUMP_BELOW - 1), limit: PAGE_MESSAGES }, true);
    }
    // Long messages: the page ended before the target.
    for (let high = 0; !this.covered(id, seq);) {
      const apart = this.held(id)?.apart;
      if (!apart || apart.high <= high || apart.high >= seq || this.jumps.get(id) !== seq) break;
      high = apart.high;
      await this.page(id, { after: high, limit: PAGE_MESSAGES }, true);
    }
    if (this.jumps.get(id) !== seq) return;
    const held = this.held(id);
    this.show(id, { detached: held !== undefined && seq < held.low && held.apart !== null });
  }

  showNewest(id: Id): void {
    this.jumps.delete(id);
    this.show(id, { detached: false });
  }

  forgetBelow(id: Id, seq: Seq): void {
    this.held(id)?.forgetBelow(seq);
    this.views.changed(id);
  }

  /** The newest page: for a conversation that began without its newest message, or with nothing else. */
  async newest({ id, low }: HeldConversation): Promise<void> {
    await this.page(id, { before: low, limit: PAGE_MESSAGES }, false);
  }

  private covered(id: Id, seq: Seq): boolean {
    const held = this.held(id);
    if (!held) return true; // not there any more: nothing to wait for
    return seq >= held.low || (held.apart !== null && seq >= held.apart.low && seq <= held.apart.high);
  }

  private async page(id: Id, range: { before?: Seq; after?: Seq; limit: number }, keepApart: boolean): Promise<void> {
    const limit = Math.min(range.limit, this.maxPage());
    await this.ask({ type: "message.history", conversation: id, ...range, limit }, { keepApart });
  }

  private shownApart(held: HeldConversation | undefined): HeldConversation["apart"] {
    return (held && this.views.of(held.id).detached && held.apart) || null;
  }

  private held(id: Id): HeldConversation | undefined {
    return this.replica.conversations.get(id);
  }

  private show(id: Id, change: Partial<Pick<ConversationView, "detached" | "loadingOlder" | "loadingNewer">>): void {
    Object.assign(this.views.of(id), change);
    this.views.changed(id);
  }

  private marked(id: Id, mark: "loadingOlder" | "loadingNewer", work: () => Promise<void>): Promise<void> {
    return this.once(`${mark} ${id}`, async () => {
      this.show(id, { [mark]: true });
      try {
        await work();
      } finally {
        this.show(id, { [mark]: false });
      }
    });
  }

  private once(key: string, work: () => Promise<void>): Promise<void> {
    let running = this.loading.get(key);
    if (!running) {
      running = work().finally(() => {
        this.loading.delete(key);
      });
      this.loading.set(key, running);
    }
    return running;
  }
}
