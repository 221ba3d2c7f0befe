/** Addresses under which a browser gets files by itself, without a header that says who asks. */

import type { Environment } from "./environment.js";
import type { Attachment } from "./protocol.gen.js";

const OURS = /^\/v1\/attachments\/[^/]+$/;
/** Before its end a link is asked for anew. */
const RENEW_BEFORE_MS = 30_000;

export interface LinksDuties {
  readonly env: Pick<Environment, "fetch">;
  /** The server, without a path. */
  origin(): string;
  /** True if the browser's cookie says who asks. */
  readonly byCookie: boolean;
  authorize(): Promise<Record<string, string>>;
  serverNow(): number;
}

/** Files of this server get a link where no cookie speaks for the user; all others are at the address they name. */
export class Links {
  private readonly made = new Map<string, { readonly link: Promise<string>; until: number }>();

  constructor(private readonly duties: LinksDuties) {}

  url(file: Attachment, which: "whole" | "thumbnail"): string | Promise<string> {
    const wanted = which === "thumbnail" && file.thumbnail_url ? file.thumbnail_url : file.url;
    const { byCookie } = this.duties;
    const origin = this.duties.origin();
    const url = new URL(wanted, origin);
    const ours = url.origin === origin && OURS.test(new URL(file.url, origin).pathname);
    if (!ours || byCookie) return url.href;
    return this.link(file.id).then((link) => url.href + new URL(link, origin).search);
  }

  clear(): void {
    this.made.clear();
  }

  private link(id: string): Promise<string> {
    const held = this.made.get(id);
    if (held && held.until > this.duties.serverNow()) return held.link;
    const made = { link: this.ask(id), until: Infinity };
    this.made.set(id, made);
    return made.link;
  }

  private async ask(id: string): Promise<string> {
    const { env, authorize, serverNow } = this.duties;
    try {
      const answer = await env.fetch(`${this.duties.origin()}/v1/attachments/${encodeURIComponent(id)}/link`, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...(await authorize()) },
        body: "{}",
      });
      if (!answer.ok) throw new Error(`no link: ${answer.status}`);
      const { url, expires_at: until } = (await answer.json()) as { url: string; expires_at: string };
      const held = this.made.get(id);
      if (held) held.until = Math.max(serverNow(), Date.parse(until) - RENEW_BEFORE_MS);
      return url;
    } catch (error) {
      this.made.delete(id);
      throw error;
    }
  }
}
