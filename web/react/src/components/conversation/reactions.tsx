import type { Message } from "@chatd/client";
import { words } from "../words.js";

/** Reactions to a message; a press adds one's own, or takes it back. */
export function Reactions({
  reactions,
  me,
  focusable,
  onReact,
}: {
  reactions: Message["reactions"];
  me: string;
  focusable: boolean;
  onReact: (emoji: string, on: boolean) => void;
}) {
  return (
    <div className="reactions">
      {reactions.map(({ emoji, count, users }) => {
        const mine = users.includes(me);
        return (
          <button
            key={emoji}
            type="button"
            className="reaction"
            tabIndex={focusable ? 0 : -1}
            aria-pressed={mine}
            aria-label={words.reactedBy(emoji, count)}
            onClick={() => {
              onReact(emoji, !mine);
            }}
          >
            {emoji} {count}
          </button>
        );
      })}
    </div>
  );
}
