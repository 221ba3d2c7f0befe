import { useState } from "react";
import type { TimelineItem } from "@chatd/client";
import { useChat } from "../context.js";
import { useReadable } from "../hooks.js";
import { Confirm } from "../ui/confirm.js";
import { Menu, MenuItem } from "../ui/menu.js";
import { words } from "../words.js";

const QUICK_REACTIONS = ["👍", "❤️", "😀", "😮", "😢", "🙏"];

interface MenuProps {
  readonly item: TimelineItem;
  readonly trigger: HTMLElement;
  readonly onClose: () => void;
  readonly onReply: () => void;
  readonly onEdit: () => void;
  readonly onReact: (emoji: string, on: boolean) => void;
}

/** Menu of a message; what is not allowed is absent. */
export function MessageMenu(props: MenuProps) {
  const [step, setStep] = useState<"menu" | "react" | "delete">("menu");
  if (step === "delete") return <DeleteQuestion {...props} />;
  if (step === "react") return <ReactMenu key="react" {...props} />;
  return <ActionsMenu key="menu" {...props} onStep={setStep} />;
}

function ActionsMenu(props: MenuProps & { onStep: (step: "react" | "delete") => void }) {
  const { item, trigger, onClose, onReply, onEdit, onStep } = props;
  const { client, tell } = useChat();
  const { user } = useReadable(client.connection);
  const { message, own } = item;
  const text = message.kind === "text";
  const mayDelete = own || user?.role === "staff" || user?.role === "admin";
  const then = (work: () => void) => () => {
    onClose();
    work();
  };
  return (
    <Menu label={words.actions} trigger={trigger} onClose={onClose}>
      <MenuItem onChoose={then(onReply)}>{words.reply}</MenuItem>
      {text && (
        <MenuItem
          onChoose={() => {
            onStep("react");
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
            onStep("delete");
          }}
        >
          {words.delete}
        </MenuItem>
      )}
    </Menu>
  );
}

function ReactMenu({ item, trigger, onClose, onReact }: MenuProps) {
  const { client } = useChat();
  const me = useReadable(client.connection).user?.id ?? "";
  return (
    <Menu label={words.react} trigger={trigger} onClose={onClose}>
      <div className="quick-reactions" role="none">
        {QUICK_REACTIONS.map((emoji) => (
          <MenuItem
            key={emoji}
            label={words.reactWith(emoji)}
            onChoose={() => {
              onClose();
              const mine = item.message.reactions.some((each) => each.emoji === emoji && each.users.includes(me));
              onReact(emoji, !mine);
            }}
          >
            {emoji}
          </MenuItem>
        ))}
      </div>
    </Menu>
  );
}

function DeleteQuestion({ item, onClose }: MenuProps) {
  const { client, tell } = useChat();
  return (
    <Confirm
      title={words.deleteTitle}
      text={words.deleteText}
      action={words.deleteForEveryone}
      onClose={onClose}
      onConfirm={() => {
        onClose();
        client.delete(item.message.conversation, item.seq).catch(() => {
          tell(words.actionFailed);
        });
      }}
    />
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
