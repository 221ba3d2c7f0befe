import { useState } from "react";
import type { ConversationListItem } from "@chatd/client";
import { useChat } from "../context.js";
import { Confirm } from "../ui/confirm.js";
import { Menu, MenuItem } from "../ui/menu.js";
import { words } from "../words.js";

/** Menu of a conversation in the list. */
export function RowMenu({
  item,
  trigger,
  onClose,
}: {
  item: ConversationListItem;
  trigger: HTMLElement;
  onClose: () => void;
}) {
  const { client, tell, show } = useChat();
  const [leaving, setLeaving] = useState(false);
  const { muted, pinned, archived } = item.membership;
  const done = (work: Promise<unknown>) => {
    onClose();
    work.catch(() => {
      tell(words.actionFailed);
    });
  };
  if (leaving) {
    return (
      <Confirm
        title={words.leaveTitle}
        text={words.leaveText}
        action={words.leave}
        onClose={onClose}
        onConfirm={() => {
          done(client.leave(item.id));
          show(null);
        }}
      />
    );
  }
  return (
    <Menu label={words.options} trigger={trigger} onClose={onClose}>
      <MenuItem
        onChoose={() => {
          done(client.setMembership(item.id, { pinned: !pinned }));
        }}
      >
        {pinned ? words.unpin : words.pin}
      </MenuItem>
      <MenuItem
        onChoose={() => {
          done(client.setMembership(item.id, { muted: !muted }));
        }}
      >
        {muted ? words.unmute : words.mute}
      </MenuItem>
      <MenuItem
        onChoose={() => {
          done(client.setMembership(item.id, { archived: !archived }));
        }}
      >
        {archived ? words.unarchive : words.archive}
      </MenuItem>
      <MenuItem
        className="danger"
        onChoose={() => {
          setLeaving(true);
        }}
      >
        {words.leave}
      </MenuItem>
    </Menu>
  );
}
