/**
 * The one authority over the history's scroll position. Before a change it remembers the message nearest the eye and
 * its distance from the top of the view; after it, the message is put back there. At the bottom it follows instead.
 */

/** Pixels from the end that count as being there. */
export const BOTTOM_PX = 40;
/** The eye rests a third down the view; jumps land there too. */
export const EYE = 1 / 3;

interface Held {
  readonly key: string;
  readonly seq: number | null;
  readonly offset: number;
}

export class Anchor {
  following = true;
  /** True if the end of the content is the newest message: else there is nothing to follow. */
  atNewest = true;
  private lastTop = 0;
  private held: Held | null = null;

  constructor(private readonly view: HTMLElement) {}

  get distanceFromBottom(): number {
    const { view } = this;
    return view.scrollHeight - view.clientHeight - view.scrollTop;
  }

  /** The user moved, or the content was put where it belongs: this is the place to keep from now on. */
  note(): void {
    // Content that grew since is no reason to stop following: only a move up is.
    const stays = this.following && this.view.scrollTop >= this.lastTop - 1;
    this.following = this.atNewest && (stays || this.distanceFromBottom <= BOTTOM_PX);
    this.remember();
  }

  /** After any change of content or size. */
  restore(): void {
    // Moved up by a script or by focus, and the event that says so is still to come.
    const movedUp = this.view.scrollTop < this.lastTop - 1 && this.distanceFromBottom > BOTTOM_PX;
    if (this.following && movedUp) this.following = false;
    else if (this.following && this.atNewest) this.view.scrollTop = this.view.scrollHeight;
    else if (this.held) this.putBack(this.held);
    this.remember();
  }

  toBottom(): void {
    this.following = this.atNewest = true;
    this.restore();
  }

  /** Puts a row at a distance from the top of the view; false where it isn't there. */
  show(row: HTMLElement | null, offset = this.view.clientHeight * EYE): boolean {
    if (!row) return false;
    this.view.scrollTop += this.offsetOf(row) - offset;
    this.following = this.atNewest && this.distanceFromBottom <= BOTTOM_PX;
    this.remember();
    return true;
  }

  /** The message nearest the eye, for keeping the place across reloads. */
  place(): { seq: number; offset: number } | null {
    return this.held?.seq == null ? null : { seq: this.held.seq, offset: this.held.offset };
  }

  private remember(): void {
    this.lastTop = this.view.scrollTop;
    this.held = this.nearest();
  }

  private putBack(held: Held): void {
    const row = this.rows().find(({ dataset }) => dataset["key"] === held.key) ?? this.closest(held.seq);
    if (row) this.view.scrollTop += this.offsetOf(row) - held.offset;
  }

  /** Returns the row to stand in for one that is gone. */
  private closest(seq: number | null): HTMLElement | undefined {
    if (seq === null) return undefined;
    return this.rows().find(({ dataset }) => Number(dataset["seq"]) >= seq);
  }

  private nearest(): Held | null {
    const eye = this.view.clientHeight * EYE;
    let nearest: Held | null = null;
    let best = Infinity;
    for (const row of this.rows()) {
      const { key, seq } = row.dataset;
      if (key === undefined) continue;
      const offset = this.offsetOf(row);
      const distance = offset > eye ? offset - eye : Math.max(0, eye - offset - row.offsetHeight);
      if (distance > best) break; // they stand in order: it only gets farther
      best = distance;
      nearest = { key, seq: seq === undefined ? null : Number(seq), offset };
    }
    return nearest;
  }

  private offsetOf(row: HTMLElement): number {
    return row.getBoundingClientRect().top - this.view.getBoundingClientRect().top;
  }

  private rows(): HTMLElement[] {
    return [...this.view.querySelectorAll<HTMLElement>("[data-key]")];
  }
}
