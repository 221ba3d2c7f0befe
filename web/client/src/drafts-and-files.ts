import { Drafts } from "./drafts.js";
import { Files } from "./files.js";
import { Links } from "./links.js";
import type { Id } from "./protocol.gen.js";
import type { Staging, StagingDuties } from "./staging.js";
import type { TabMessage } from "./tabs.js";
import { transfer } from "./transfer.js";
import { upload } from "./upload.js";

/** Staging with drafts, attached files, and the addresses of this server's files. */
export class DraftsAndFiles implements Staging {
  readonly uploads = true;
  readonly drafts: Drafts;
  readonly files: Files;
  readonly links: Links;

  constructor({ network, database, ...duties }: StagingDuties, Made = Drafts) {
    const { env, origin, authorize, byCookie } = network;
    this.drafts = new Made(env, database, duties.tell);
    this.links = new Links({ env, origin, byCookie, authorize, serverNow: duties.serverNow });
    const to = { transfer: env.transfer ?? transfer, origin, authorize, withCredentials: byCookie };
    this.files = new Files(env, database, {
      online: duties.online,
      upload: (file, events) => upload(file, to, events),
      tell: duties.tell,
      changed: (_conversation, message) => {
        if (message !== null) duties.fileChanged(message);
      },
    });
  }

  ofDraft(conversation: Id) {
    return this.files.ofDraft(conversation);
  }

  spend(conversation: Id, message: string) {
    const { keys, writes } = this.files.spend(conversation, message);
    return { keys, writes: [...this.drafts.spend(conversation), ...writes] };
  }

  async use(user: Id): Promise<void> {
    await Promise.all([this.drafts.use(user), this.files.use(user)]);
  }

  prune(isThere: (message: string) => boolean): void {
    this.files.prune(isThere);
  }

  resume(): void {
    this.files.flush();
  }

  hear(message: TabMessage): void {
    this.files.hear(message);
    this.drafts.hear(message);
  }

  save(): void {
    this.drafts.flush();
  }

  stop(): void {
    this.files.stop();
  }

  clear(): void {
    this.drafts.clear();
    this.files.clear();
    this.links.clear();
  }
}
