import { memo, useId } from "react";
import type { ConversationListItem } from "@chatd/client";
import { addressOf } from "../address.js";
import { personOf, useChat } from "../context.js";
import { useDraft, useEdit, useReadable, useStaged } from "../hooks.js";
import { lineOf, namesOf, otherOf, titleOf } from "../names.js";
import { fullTime, shortTime } from "../times.js";
import { Avatar } from "../ui/avatar.js";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";

/** One conversation of the list: all of it is the link. */
export const Row = memo(function Row({
  item,
  current,
  onMenu,
}: {
  item: ConversationListItem;
  current: boolean;
  onMenu: (id: string, trigger: HTMLElement) => void;
}) {
  const { client, show } = useChat();
  const users = useReadable(client.users);
  const presence = useReadable(client.presence);
  const nameId = useId();
  const me = useReadable(client.connection).user?.id ?? "";
  const other = otherOf(item, me);
  const title = titleOf(item, users, me);
  const person = other === null ? null : personOf(users, other);
  const { muted, pinned, unread } = item.membership;
  const at = newestTime(item);
  return (
    <li
      className={`row${current ? " current" : ""}${muted ? " muted" : ""}${unread ? " unread" : ""}`}
      onContextMenu={(event) => {
        const trigger = event.currentTarget.querySelector<HTMLElement>(".row-options");
        if (!trigger) return;
        event.preventDefault();
        onMenu(item.id, trigger);
      }}
    >
      <a
        href={addressOf(item.id)}
        aria-current={current ? "page" : undefined}
        onClick={(event) => {
          if (event.metaKey || event.ctrlKey || event.shiftKey) return;
          event.preventDefault();
          show(item.id);
        }}
      >
        <Avatar
          id={other ?? item.id}
          name={title}
          url={person?.avatar_url ?? null}
          online={other !== null && presence.get(other)?.online === true}
        />{" "}
        <span className="row-text">
          <span className="row-top">
            <bdi id={nameId} className="row-name">
              {title}
            </bdi>{" "}
            {person?.role && <span className="row-role">{words.roles[person.role]}</span>}{" "}
            {pinned && <Mark icon="pin" text={words.pinned} />}
            {muted && <Mark icon="muted" text={words.muted} />}
            <time dateTime={new Date(at).toISOString()} title={fullTime(at)}>
              {shortTime(at, client.serverNow())}
            </time>
          </span>{" "}
          <span className="row-bottom">
            <LastLine item={item} me={me} current={current} /> {unread > 0 && <Unread count={unread} />}
          </span>
        </span>
      </a>
      <button
        type="button"
        className="row-options icon-button"
        aria-label={words.options}
        aria-describedby={nameId}
        aria-haspopup="menu"
        onClick={(event) => {
          onMenu(item.id, event.currentTarget);
        }}
      >
        <Icon name="dots" size={18} />
      </button>
    </li>
  );
});

function Unread({ count }: { count: number }) {
  return (
    <span className="badge" data-count={count > 999 ? "999+" : count}>
      <span className="hidden">{words.unreadCount(count)}</span>
    </span>
  );
}

function Mark({ icon, text }: { icon: "pin" | "muted"; text: string }) {
  return (
    <span className="row-mark" title={text}>
      <Icon name={icon} size={14} />
      <span className="hidden">{text}</span>
    </span>
  );
}

/** Second line of a row: typing users, else the draft, else the last message. */
function LastLine({ item, me, current }: { item: ConversationListItem; me: string; current: boolean }) {
  const { client } = useChat();
  const users = useReadable(client.users);
  const draft = useDraft(client, item.id);
  const edit = useEdit(client, item.id);
  const staged = useStaged(client, item.id);
  if (item.typing.length > 0) return <span className="row-line typing">{words.typing}</span>;
  const text = edit?.text ?? draft?.text ?? "";
  const drafted = text.trim() ? text.slice(0, 200) : namesOf(staged);
  if (drafted && !current) {
    return (
      <span className="row-line draft">
        <span className="draft-word">{words.draft}</span> <bdi>{drafted}</bdi>
      </span>
    );
  }
  const { lastOutbox, lastMessage } = item;
  if (lastOutbox) return <Line who={words.you} text={lastOutbox.body || namesOf(lastOutbox.files)} />;
  if (!lastMessage) return <span className="row-line">&nbsp;</span>;
  const { message, own } = lastMessage;
  const group = item.info.kind === "group" && message.sender != null && message.sender !== me;
  const sender = group ? `${personOf(users, message.sender ?? "").name}:` : null;
  return <Line who={own ? words.you : sender} text={lineOf(message)} />;
}

function Line({ who, text }: { who: string | null; text: string }) {
  return (
    <span className="row-line">
      {who !== null && (
        <>
          <bdi className="row-who">{who}</bdi>{" "}
        </>
      )}
      <bdi>{text}</bdi>
    </span>
  );
}

function newestTime({ lastMessage, lastOutbox, info }: ConversationListItem): number {
  return lastOutbox?.createdAt ?? Date.parse(lastMessage?.message.sent_at ?? info.created_at);
}
