// The time that everything here sees from now on, ms since 1970; timers run on.
export function stopClock(now) {
  globalThis.Date = class extends Date {
    constructor(...given) {
      super(...(given.length ? given : [now]));
    }

    static now() {
      return now;
    }
  };
}
