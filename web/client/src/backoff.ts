const FIRST_MS = 500;
const MOST_MS = 30_000;

/** Returns ms to wait before the next attempt: anything below a bound that doubles (full jitter). */
export function backoff(attempt: number, random: () => number): number {
  return random() * Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
}
