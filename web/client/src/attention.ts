import type { Environment } from "./environment.js";

export interface AttentionDuties {
  /** The device or the page woke up, or the network changed: a socket may be dead and claim to be open. */
  woke(): void;
  /** The page may be gone in a moment. */
  hiding(): void;
  /** `attentive` may have changed. */
  changed(): void;
}

/** Attention: whether somebody can be looking at the page, and when it wakes and goes to sleep. */
export class Attention {
  private listening: AbortController | null = null;

  constructor(
    private readonly env: Environment,
    private readonly duties: AttentionDuties,
  ) {}

  /** Visible, and the window that has the keyboard. */
  attentive(): boolean {
    const { document } = this.env;
    return !document || (document.visibilityState === "visible" && document.hasFocus());
  }

  open(): void {
    if (this.listening) return;
    this.listening = new AbortController();
    const { window, document } = this.env;
    const { woke, hiding, changed } = this.duties;
    this.listen(window, ["online", "offline", "pageshow"], woke);
    this.listen(document, ["resume"], woke);
    this.listen(window, ["pagehide"], hiding);
    this.listen(document, ["freeze"], hiding);
    this.listen(window, ["focus", "blur"], changed);
    this.listen(document, ["visibilitychange"], () => {
      if (document?.visibilityState === "visible") woke();
      else hiding();
      changed();
    });
  }

  close(): void {
    this.listening?.abort();
    this.listening = null;
  }

  private listen(target: EventTarget | null, types: readonly string[], work: () => void): void {
    for (const type of types)
      target?.addEventListener(
        type,
        () => {
          work();
        },
        { signal: this.listening?.signal },
      );
  }
}
