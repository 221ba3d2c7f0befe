/** The server's time, whatever the clock of this device says. */
export class ServerClock {
  private offset = 0;
  private bestTripMs = Infinity;

  constructor(private readonly now: () => number) {}

  /** The server said that it was `serverTime` (RFC 3339), somewhere within the last `tripMs`; the shortest trip counts. */
  learn(serverTime: string, tripMs: number): void {
    const said = Date.parse(serverTime);
    if (Number.isNaN(said)) return;
    const offset = said + tripMs / 2 - this.now();
    // Setting the clock of the device moves the offset by more than any trip explains.
    const moved = Math.abs(offset - this.offset) > tripMs + (this.bestTripMs === Infinity ? 0 : this.bestTripMs);
    if (tripMs <= this.bestTripMs || moved) {
      this.offset = offset;
      this.bestTripMs = tripMs;
    }
  }

  serverNow(): number {
    return this.now() + this.offset;
  }
}
