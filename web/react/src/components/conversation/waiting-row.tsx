import { memo } from "react";
import type { OutboxItem } from "@chatd/client";
import { useChat } from "../context.js";
import { WaitingFiles } from "../files/staged-files.js";
import { useReadable } from "../hooks.js";
import { timeOf } from "../times.js";
import { words } from "../words.js";
import { Body } from "./body.js";
import { State } from "./state.js";

/** An own message on its way. */
export const WaitingRow = memo(function WaitingRow({ item, first }: { item: OutboxItem; first: boolean }) {
  const { client } = useChat();
  const { phase, user } = useReadable(client.connection);
  const failed = item.state === "failed";
  // While a file of it is not there, the message can't have left, whatever the connection does.
  const held = phase === "waiting" || item.files.some(({ state }) => state !== "ready");
  return (
    <article
      className={`message own${first ? " first" : ""}${failed ? " failed" : ""}`}
      data-key={item.key}
      tabIndex={-1}
    >
      <span className="hidden">{words.ownName(user?.name ?? "")} </span>
      <div className="bubble-line">
        <div className="bubble">
          <WaitingFiles files={item.files} />
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
      {(failed || held) && (
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
