import { memo } from "react";
import type { Edit, TimelineItem, User } from "@chatd/client";
import { personOf } from "../context.js";
import { lineOf } from "../names.js";
import { fullTime, timeOf } from "../times.js";
import { Attachments } from "../files/attachments.js";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";
import { Body } from "./body.js";
import { Reactions } from "./reactions.js";
import { State } from "./state.js";

export interface MessageDuties {
  readonly openMenu: (item: TimelineItem, trigger: HTMLElement) => void;
  readonly jumpTo: (seq: number) => void;
  readonly react: (seq: number, emoji: string, on: boolean) => void;
}

export interface MessageProps {
  readonly item: TimelineItem;
  /** A change of it that waits. */
  readonly edit: Edit | null;
  /** Begins a group. */
  readonly first: boolean;
  /** Message that it replies to, where that is loaded. */
  readonly quoted: TimelineItem | null;
  /** The tab stop of the list. */
  readonly current: boolean;
  readonly highlighted: boolean;
  /** Number of messages in the conversation. */
  readonly size: number;
  readonly users: ReadonlyMap<string, User>;
  readonly me: string;
  readonly duties: MessageDuties;
}

/** One message of the history. */
export const MessageRow = memo(function MessageRow(props: MessageProps) {
  const { item, first, current, highlighted, size, users, me, duties } = props;
  const { message, own, seq } = item;
  if (message.kind === "system") return <SystemRow item={item} current={current} />;
  const sender = message.sender == null ? words.system : personOf(users, message.sender).name;
  return (
    <article
      className={`message ${own ? "own" : "other"}${first ? " first" : ""}${highlighted ? " highlighted" : ""}`}
      data-key={item.key}
      data-seq={seq}
      tabIndex={current ? 0 : -1}
      aria-setsize={size}
      aria-posinset={seq}
      onContextMenu={(event) => {
        const trigger = event.currentTarget.querySelector<HTMLElement>(".message-actions");
        if (!trigger || (event.target as Element).closest("a") || getSelection()?.toString()) return;
        event.preventDefault();
        duties.openMenu(item, trigger);
      }}
    >
      <span className={first && !own ? "sender" : "hidden"}>
        <bdi>{own ? words.ownName(sender) : sender}</bdi>{" "}
      </span>
      <div className="bubble-line">
        <Bubble {...props} />
        {message.deleted_at == null && <ActionsButton item={item} current={current} onPress={duties.openMenu} />}
      </div>
      {message.reactions.length > 0 && (
        <Reactions
          reactions={message.reactions}
          me={me}
          focusable={current}
          onReact={(emoji, on) => {
            duties.react(seq, emoji, on);
          }}
        />
      )}
    </article>
  );
});

function SystemRow({ item, current }: { item: TimelineItem; current: boolean }) {
  const { message } = item;
  return (
    <article className="system" data-key={item.key} data-seq={item.seq} tabIndex={current ? 0 : -1}>
      <span className="hidden">{words.system} </span>
      <div className="body" dir="auto">
        {message.body}
      </div>
      <time className="hidden" dateTime={message.sent_at}>
        {timeOf(Date.parse(message.sent_at))}
      </time>
    </article>
  );
}

function Bubble({ item, edit, quoted, current, users, duties }: MessageProps) {
  const { message, own, status } = item;
  const at = Date.parse(message.sent_at);
  const deleted = message.deleted_at != null;
  const body = edit?.text ?? message.body;
  return (
    <div className={`bubble${deleted ? " deleted" : ""}`}>
      {message.reply_to != null && !deleted && (
        <Quote seq={message.reply_to} quoted={quoted} users={users} onPress={duties.jumpTo} />
      )}
      {message.attachments.length > 0 && <Attachments attachments={message.attachments} focusable={current} />}
      <div className="bubble-text">
        {deleted ? <div className="body">{words.deleted}</div> : body && <Body text={body} />}
        <span className="meta">
          {" "}
          {(message.edited_at != null || edit) && !deleted && <span>{words.edited} </span>}
          <time dateTime={message.sent_at} title={fullTime(at)}>
            {timeOf(at)}
          </time>{" "}
          {own && status && !deleted && <State state={edit ? "waiting" : status} />}
        </span>
      </div>
    </div>
  );
}

function ActionsButton({
  item,
  current,
  onPress,
}: {
  item: TimelineItem;
  current: boolean;
  onPress: MessageDuties["openMenu"];
}) {
  return (
    <button
      type="button"
      className="message-actions icon-button"
      aria-label={words.actions}
      aria-haspopup="menu"
      tabIndex={current ? 0 : -1}
      onClick={(event) => {
        onPress(item, event.currentTarget);
      }}
    >
      <Icon name="dots" size={18} />
    </button>
  );
}

function Quote({
  seq,
  quoted,
  users,
  onPress,
}: {
  seq: number;
  quoted: TimelineItem | null;
  users: ReadonlyMap<string, User>;
  onPress: (seq: number) => void;
}) {
  const sender = quoted?.message.sender;
  return (
    <button
      type="button"
      className="quote"
      tabIndex={-1}
      onClick={() => {
        onPress(seq);
      }}
    >
      {quoted ? (
        <>
          <bdi className="quote-sender">{sender == null ? words.system : personOf(users, sender).name}</bdi>
          <span dir="auto">{lineOf(quoted.message)}</span>
        </>
      ) : (
        words.unknownMessage
      )}
    </button>
  );
}
