/** Leaving: a sign-out leaves nothing behind. */

import { forgetPin } from "./lock/pin.js";

const SIGNED_OUT = "chatd.signed-out";
const JUST_NOW = "1";
const BEFORE = "2";

/** After the client has emptied its storage: the rest. A new document follows, so that memory goes too. */
export function leaveNothing(): void {
  sessionStorage.clear();
  forgetPin();
  sessionStorage.setItem(SIGNED_OUT, JUST_NOW);
  history.replaceState(null, "", "/");
}

/**
 * Whether somebody has just signed out, or the browser's Back led here after that: then neither an address nor another
 * site's cookie signs them in again by itself. A reload, or a visit later, may.
 */
export function wasSignedOut(): boolean {
  const signedOut = sessionStorage.getItem(SIGNED_OUT);
  const [entry] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  if (signedOut !== null && entry?.type === "back_forward") return true;
  if (signedOut === JUST_NOW) {
    sessionStorage.setItem(SIGNED_OUT, BEFORE);
    return true;
  }
  sessionStorage.removeItem(SIGNED_OUT);
  return false;
}
