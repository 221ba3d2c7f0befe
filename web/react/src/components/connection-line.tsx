/** The connection in plain words, in a place that is always there; silent for the first 2 s. */

import { memo } from "react";
import { useChat } from "./context.js";
import { useElapsed, useReadable } from "./hooks.js";
import { words } from "./words.js";

const SILENT_MS = 2_000;

export const ConnectionLine = memo(function ConnectionLine() {
  const { client } = useChat();
  const { offlineSince, networkDown, goingAway } = useReadable(client.connection);
  const outbox = useReadable(client.outbox);
  const lost = useElapsed(offlineSince, SILENT_MS);
  const edits = useReadable(client.waitingEdits);
  const waiting = outbox.filter(({ state }) => state === "waiting").length + edits.length;
  const parts: string[] = [];
  if (lost) parts.push(networkDown ? words.youAreOffline : goingAway ? words.restarting : words.reconnecting);
  if (lost && waiting > 0) parts.push(words.waitingCount(waiting));
  return (
    <div className="connection" role="status">
      {parts.length > 0 && <span>{parts.join(" ")}</span>}
    </div>
  );
});
