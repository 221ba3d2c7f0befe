/** What a sign-out leaves behind: nothing. */

import { forgetPin } from "./lock/pin.js";

const SIGNED_OUT = "chatd.signed-out";

/** After the client has emptied its storage: the rest. A new document follows, so that memory goes too. */
export function leaveNothing(): void {
  sessionStorage.clear();
  forgetPin();
  sessionStorage.setItem(SIGNED_OUT, "1");
  history.replaceState(null, "", "/");
}

/** Whether the browser's Back or reload led here after a sign-out: then an address alone signs nobody in. */
export function wasSignedOut(): boolean {
  const signedOut = sessionStorage.getItem(SIGNED_OUT) !== null;
  const [entry] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  if (signedOut && entry?.type === "back_forward") return true;
  sessionStorage.removeItem(SIGNED_OUT);
  return false;
}
