/** Bars that say what the text in the composer is about. */

import type { TimelineItem } from "@chatd/client";
import { personOf, useChat } from "../context.js";
import { useReadable } from "../hooks.js";
import { lineOf } from "../names.js";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";

export function Replying({
  seq,
  items,
  onCancel,
}: {
  seq: number;
  items: readonly TimelineItem[];
  onCancel: () => void;
}) {
  const { client } = useChat();
  const users = useReadable(client.users);
  const quoted = items.find((item) => item.seq === seq)?.message;
  const name = quoted?.sender ? personOf(users, quoted.sender).name : "";
  const text = quoted ? lineOf(quoted) : words.unknownMessage;
  return <About title={words.replyingTo(name)} text={text} onCancel={onCancel} />;
}

/** Bar above the field: the message that is edited or replied to, and the way out. */
export function About({
  title,
  text,
  edit = false,
  onCancel,
}: {
  title: string;
  text: string;
  edit?: boolean;
  onCancel: () => void;
}) {
  return (
    <div className="about">
      <Icon name="reply" size={18} />
      <div>
        <strong dir="auto">{title}</strong>
        <span dir="auto">{text}</span>
      </div>
      <button
        type="button"
        className={edit ? "button small" : "icon-button"}
        aria-label={words.cancel}
        onClick={onCancel}
      >
        {edit ? words.cancel : <Icon name="close" size={18} />}
      </button>
    </div>
  );
}
