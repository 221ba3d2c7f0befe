/** Times as people say them. */

const LOCALE = typeof navigator !== "undefined" && navigator.language.startsWith("en-") ? navigator.language : "en-GB";
const DAY_MS = 86_400_000;

const clock = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(LOCALE, { weekday: "short" });
const longWeekday = new Intl.DateTimeFormat(LOCALE, { weekday: "long" });
const day = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short" });
const dayAndYear = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", year: "numeric" });
const longDay = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "long" });
const longDayAndYear = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "long", year: "numeric" });
const full = new Intl.DateTimeFormat(LOCALE, { dateStyle: "full", timeStyle: "short" });

/** Days between two moments, as a calendar counts them; negative for the future. */
function daysBetween(then: number, now: number): number {
  return Math.round((startOfDay(now) - startOfDay(then)) / DAY_MS);
}

export function startOfDay(moment: number): number {
  return new Date(moment).setHours(0, 0, 0, 0);
}

/** "09:12" */
export function timeOf(moment: number): string {
  return clock.format(moment);
}

/** "Thursday 12 November 2026 at 09:12", for tooltips. */
export function fullTime(moment: number): string {
  return full.format(moment);
}

/** Returns a time for a list: "09:12", "Tue", "12 Nov", "12 Nov 2025". */
export function shortTime(moment: number, now: number): string {
  const days = daysBetween(moment, now);
  if (days <= 0) return clock.format(moment);
  if (days < 7) return weekday.format(moment);
  return sameYear(moment, now) ? day.format(moment) : dayAndYear.format(moment);
}

/** Returns a time for a sentence: "09:12", "Tue 09:12", "12 Nov". */
export function spokenTime(moment: number, now: number): string {
  const days = daysBetween(moment, now);
  if (days > 0 && days < 7) return `${weekday.format(moment)} ${clock.format(moment)}`;
  return shortTime(moment, now);
}

/** Between days: "Today", "Yesterday", "Tuesday", "12 November", "12 November 2025". */
export function dayName(moment: number, now: number): string {
  const days = daysBetween(moment, now);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days < 7) return longWeekday.format(moment);
  return sameYear(moment, now) ? longDay.format(moment) : longDayAndYear.format(moment);
}

function sameYear(one: number, other: number): boolean {
  return new Date(one).getFullYear() === new Date(other).getFullYear();
}
