import { useState } from "react";
import type { TimelineItem } from "@chatd/client";
import { useChat } from "../context.js";
import { useReadable } from "../hooks.js";
import { Confirm } from "../ui/confirm.js";
import { Menu, MenuItem } from "../ui/menu.js";
import { words } from "../words.js";

const QUICK_REACTIONS = ["👍", "❤️", "😀", "😮", "😢", "🙏"];

/** What may be done with a message; what is not allowed is absent. */
export function MessageMenu({
  item,
  trigger,
  onClose,
  onReply,
  onEdit,
  onReact,
}: {
  item: TimelineItem;
  trigger: HTMLElement;
  onClose: () => void;
  onReply: () => void;
  onEdit: () => void;
  onReact: (emoji: string, on: boolean) => void;
}) {
  const { client, tell } = useChat();
  const { user } = useReadable(client.connection);
  const [step, setStep] = useState<"menu" | "react" | "delete">("menu");
  const { message, own } = item;
  const text = message.kind === "text";
  const mayDelete = own || user?.role === "staff" || user?.role === "admin";
  const then = (work: () => void) => () => {
    onClose();
    work();
  };
  if (step === "delete") {
    return (
      <Confirm
        title={words.deleteTitle}
        text={words.deleteText}
        action={words.deleteForEveryone}
        onClose={onClose}
        onConfirm={then(() => {
          client.delete(message.conversation, item.seq).catch(() => {
            tell(words.actionFailed);
          });
        })}
      />
    );
  }
  if (step === "react") {
    return (
      <Menu key="react" label={words.react} trigger={trigger} onClose={onClose}>
        <div className="quick-reactions" role="none">
          {QUICK_REACTIONS.map((emoji) => {
            const mine = message.reactions.some((each) => each.emoji === emoji && each.users.includes(user?.id ?? ""));
            return (
              <MenuItem
                key={emoji}
                label={words.reactWith(emoji)}
                onChoose={then(() => {
                  onReact(emoji, !mine);
                })}
              >
                {emoji}
              </MenuItem>
            );
          })}
        </div>
      </Menu>
    );
  }
  return (
    <Menu key="menu" label={words.actions} trigger={trigger} onClose={onClose}>
      <MenuItem onChoose={then(onReply)}>{words.reply}</MenuItem>
      {text && (
        <MenuItem
          onChoose={() => {
            setStep("react");
          }}
        >
          {words.react}
        </MenuItem>
      )}
      {text && own && <MenuItem onChoose={then(onEdit)}>{words.edit}</MenuItem>}
      {message.body && (
        <MenuItem
          onChoose={then(() => {
            copy(message.body, () => {
              tell(words.actionFailed);
            });
          })}
        >
          {words.copy}
        </MenuItem>
      )}
      {mayDelete && (
        <MenuItem
          className="danger"
          onChoose={() => {
            setStep("delete");
          }}
        >
          {words.delete}
        </MenuItem>
      )}
    </Menu>
  );
}

/** The clipboard is there in secure contexts only; a clinic's plain http address has the old way. */
function copy(text: string, failed: () => void): void {
  const { clipboard } = navigator as { clipboard?: Clipboard };
  if (clipboard) {
    clipboard.writeText(text).catch(failed);
    return;
  }
  const copied = (event: ClipboardEvent) => {
    event.clipboardData?.setData("text/plain", text);
    event.preventDefault();
  };
  document.addEventListener("copy", copied);
  if (!document.execCommand("copy")) failed();
  document.removeEventListener("copy", copied);
}
