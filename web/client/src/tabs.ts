import type { DraftRow, EditRow, FileRow, OutboxRow } from "./database.js";
import type { Environment } from "./environment.js";
import type { Id } from "./protocol.gen.js";

/** Notices that the tabs of one browser send each other. */
export type TabMessage =
  /** A new entry of the outbox, or one whose state changed. */
  | { readonly type: "outbox"; readonly user: Id; readonly row: OutboxRow }
  /** Acknowledged, or taken back. */
  | { readonly type: "outbox-gone"; readonly user: Id; readonly key: string }
  | { readonly type: "draft"; readonly user: Id; readonly row: DraftRow }
  /** `text`: with these words it became a message. */
  | { readonly type: "draft-gone"; readonly user: Id; readonly conversation: Id; readonly text?: string | undefined }
  | { readonly type: "edit"; readonly user: Id; readonly row: EditRow }
  | { readonly type: "edit-gone"; readonly user: Id; readonly key: string }
  | { readonly type: "file"; readonly user: Id; readonly row: FileRow }
  | { readonly type: "file-gone"; readonly user: Id; readonly key: string }
  /** Everything of the user's goes, and with `user` null everything of everybody's. */
  | { readonly type: "signed-out"; readonly user: Id | null };

/** The other tabs of this browser on the same site. */
export class Tabs {
  private channel: BroadcastChannel | null = null;

  constructor(
    private readonly env: Environment,
    private readonly hear: (message: TabMessage) => void,
  ) {}

  open(): void {
    if (this.channel) return;
    this.channel = this.env.channel("chatd");
    if (!this.channel) return;
    this.channel.onmessage = ({ data }: MessageEvent<TabMessage>) => {
      this.hear(data);
    };
  }

  tell(message: TabMessage): void {
    this.channel?.postMessage(message);
  }

  close(): void {
    this.channel?.close();
    this.channel = null;
  }
}
