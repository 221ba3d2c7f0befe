import { memo } from "react";
import type { ConversationSnapshot } from "@chatd/client";
import { personOf, useChat } from "../context.js";
import { useReadable } from "../hooks.js";
import { words } from "../words.js";

/** Line that names the typing users, in a place that is always there. */
export const TypingLine = memo(function TypingLine({ snapshot }: { snapshot: ConversationSnapshot }) {
  const { client } = useChat();
  const users = useReadable(client.users);
  const names = snapshot.typing.map((id) => personOf(users, id).name);
  const [first = "", second = ""] = names;
  return (
    <p className="typing-line" dir="auto">
      {names.length === 0
        ? ""
        : names.length === 1
          ? words.isTyping(first)
          : names.length === 2
            ? words.areTyping(first, second)
            : words.manyTyping}
    </p>
  );
});
