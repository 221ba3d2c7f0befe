/**
 * One tab of several, for what must happen once: sound and notifications. It holds a Web Lock and says so every 2 s. A
 * tab that is frozen keeps its lock and falls silent: after 5 s another one takes it.
 */

const BEAT_MS = 2_000;
const SILENT_MS = 5_000;

interface Heard {
  readonly type: "beat";
}

export class Leader {
  leading = false;
  private readonly channel: BroadcastChannel | null;
  private readonly stopped = new AbortController();
  private release: (() => void) | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;
  private heardAt = Date.now();

  constructor(private readonly name: string) {
    this.channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(name);
    // Web Locks are there in secure contexts only: without them every tab does it, and the tags keep it to one.
    if (!("locks" in navigator) || !this.channel) {
      this.leading = true;
      return;
    }
    this.channel.onmessage = ({ data }: MessageEvent<Heard>) => {
      if (data.type === "beat") this.heardAt = Date.now();
    };
    this.timer = setInterval(() => {
      this.beat();
    }, BEAT_MS);
    this.take({ signal: this.stopped.signal });
  }

  stop(): void {
    clearInterval(this.timer);
    this.stopped.abort();
    this.leading = false;
    this.release?.();
    this.channel?.close();
  }

  private beat(): void {
    const now = Date.now();
    if (this.leading) this.channel?.postMessage({ type: "beat" } satisfies Heard);
    else if (now - this.heardAt > SILENT_MS - BEAT_MS) {
      this.heardAt = now;
      this.take({ steal: true });
    }
  }

  private take(options: LockOptions): void {
    navigator.locks
      .request(this.name, options, async () => {
        if (this.stopped.signal.aborted) return;
        this.leading = true;
        this.beat();
        await new Promise<void>((resolve) => {
          this.release = resolve;
        });
      })
      .catch(() => {
        // Stolen by another tab, or stopped while waiting.
        this.leading = false;
        if (!this.stopped.signal.aborted) this.heardAt = Date.now();
      });
  }
}
