import { memo } from "react";
import type { OutboxItem, TimelineItem, User } from "@chatd/client";
import { personOf, useChat } from "../context.js";
import { useReadable } from "../hooks.js";
import { lineOf } from "../names.js";
import { fullTime, timeOf } from "../times.js";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";
import { Attachments } from "./attachments.js";
import { Body } from "./body.js";
import { Reactions } from "./reactions.js";
import { State } from "./state.js";

export interface MessageDuties {
  readonly openMenu: (item: TimelineItem, trigger: HTMLElement) => void;
  readonly jumpTo: (seq: number) => void;
  readonly react: (seq: number, emoji: string, on: boolean) => void;
}

/** One message of the history. */
export const MessageRow = memo(function MessageRow({
  item,
  first,
  quoted,
  current,
  highlighted,
  size,
  users,
  me,
  duties,
}: {
  item: TimelineItem;
  first: boolean;
  /** What it replies to, where that is loaded. */
  quoted: TimelineItem | null;
  /** The tab stop of the list. */
  current: boolean;
  highlighted: boolean;
  /** How many there are in the conversation. */
  size: number;
  users: ReadonlyMap<string, User>;
  me: string;
  duties: MessageDuties;
}) {
  const { message, own, seq, status } = item;
  const at = Date.parse(message.sent_at);
  if (message.kind === "system") {
    return (
      <article className="system" data-key={item.key} data-seq={seq} tabIndex={current ? 0 : -1}>
        <span className="hidden">{words.system} </span>
        <div className="body" dir="auto">
          {message.body}
        </div>
        <time className="hidden" dateTime={message.sent_at}>
          {timeOf(at)}
        </time>
      </article>
    );
  }
  const sender = message.sender == null ? words.system : personOf(users, message.sender).name;
  const deleted = message.deleted_at != null;
  const classes = `message ${own ? "own" : "other"}${first ? " first" : ""}${highlighted ? " highlighted" : ""}`;
  return (
    <article
      className={classes}
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
        <div className={`bubble${deleted ? " deleted" : ""}`}>
          {message.reply_to != null && !deleted && (
            <Quote seq={message.reply_to} quoted={quoted} users={users} onPress={duties.jumpTo} />
          )}
          {message.attachments.length > 0 && <Attachments attachments={message.attachments} />}
          <div className="bubble-text">
            {deleted ? <div className="body">{words.deleted}</div> : message.body && <Body text={message.body} />}
            <span className="meta">
              {" "}
              {message.edited_at != null && !deleted && <span>{words.edited} </span>}
              <time dateTime={message.sent_at} title={fullTime(at)}>
                {timeOf(at)}
              </time>{" "}
              {own && status && !deleted && <State state={status} />}
            </span>
          </div>
        </div>
        {!deleted && (
          <button
            type="button"
            className="message-actions icon-button"
            aria-label={words.actions}
            aria-haspopup="menu"
            tabIndex={current ? 0 : -1}
            onClick={(event) => {
              duties.openMenu(item, event.currentTarget);
            }}
          >
            <Icon name="dots" size={18} />
          </button>
        )}
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

/** An own message on its way. */
export const WaitingRow = memo(function WaitingRow({ item, first }: { item: OutboxItem; first: boolean }) {
  const { client } = useChat();
  const { phase, user } = useReadable(client.connection);
  const failed = item.state === "failed";
  return (
    <article
      className={`message own${first ? " first" : ""}${failed ? " failed" : ""}`}
      data-key={item.key}
      tabIndex={-1}
    >
      <span className="hidden">{words.ownName(user?.name ?? "")} </span>
      <div className="bubble-line">
        <div className="bubble">
          <div className="bubble-text">
            {item.body && <Body text={item.body} />}
            <span className="meta">
              {" "}
              <time dateTime={new Date(item.createdAt).toISOString()}>{timeOf(item.createdAt)}</time>{" "}
              <State state={item.state} />
            </span>
          </div>
        </div>
      </div>
      {failed && <p className="failed-text">{words.notSent}</p>}
      {(failed || phase === "waiting") && (
        <div className="waiting-buttons">
          {failed && (
            <button
              type="button"
              className="link-button"
              onClick={() => {
                client.retry(item.key);
              }}
            >
              {words.tryAgain}
            </button>
          )}
          <button
            type="button"
            className="link-button"
            onClick={() => {
              client.discard(item.key);
            }}
          >
            {failed ? words.delete : words.cancel}
          </button>
        </div>
      )}
    </article>
  );
});
