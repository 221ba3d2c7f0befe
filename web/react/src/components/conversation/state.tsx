/** The state of an own message: a sign, and a word for those who don't see it. */

import { words } from "../words.js";

export type MessageState = "waiting" | "sent" | "delivered" | "read" | "failed";

const SIGNS: Record<MessageState, readonly string[]> = {
  waiting: ["M8 2a6 6 0 100 12A6 6 0 008 2z", "M8 5v3l2 1.5"],
  sent: ["M3 8.5l3.5 3.5L13 4.5"],
  delivered: ["M1 8.5L4.5 12l6-7.5", "M7.5 11.5l.5.5L15 4.5"],
  read: ["M1 8.5L4.5 12l6-7.5", "M7.5 11.5l.5.5L15 4.5"],
  failed: ["M8 2a6 6 0 100 12A6 6 0 008 2z", "M8 4.5v4.5M8 11.2v.1"],
};

export function State({ state }: { state: MessageState }) {
  return (
    <span className={`state state-${state}`} title={words[state]}>
      <svg
        width="16"
        height="16"
        viewBox="0 0 16 16"
        fill="none"
        stroke="currentColor"
        strokeWidth={state === "read" ? 2.2 : 1.4}
        strokeLinecap="round"
        strokeLinejoin="round"
        aria-hidden="true"
      >
        {SIGNS[state].map((path) => (
          <path key={path} d={path} />
        ))}
      </svg>
      <span className="hidden">{words[state]}</span>
    </span>
  );
}
