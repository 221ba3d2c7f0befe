/** Wide: the list beside the conversation. Narrow: one of the two. */

import { ConnectionLine } from "./connection-line.js";
import { type Shown, useChat } from "./context.js";
import { Conversation } from "./conversation/conversation.js";
import { useReadable } from "./hooks.js";
import { Side } from "./list/side.js";
import { Icon } from "./ui/icons.js";
import { words } from "./words.js";

export function Layout({
  shown,
  waitingFor,
  narrow,
}: {
  shown: Shown | null;
  waitingFor: string | null;
  /** One pane at a time. */
  narrow: boolean;
}) {
  const one = narrow ? (shown || waitingFor ? " shows-conversation" : " shows-list") : "";
  return (
    <div className={`layout${one}`}>
      {(!narrow || one === " shows-list") && <Side shown={shown?.conversation ?? null} alone={narrow} />}
      {shown ? (
        <Conversation key={shown.conversation} id={shown.conversation} target={shown.target} narrow={narrow} />
      ) : (
        one !== " shows-list" && <Nothing waitingFor={waitingFor} />
      )}
    </div>
  );
}

/** No conversation is open. */
function Nothing({ waitingFor }: { waitingFor: string | null }) {
  const { client } = useChat();
  const { ready, items } = useReadable(client.conversations);
  const first = ready && items.length === 0;
  return (
    <main className="conversation nothing">
      <div className="centred">
        <span className="nothing-picture">
          <Icon name="chat" size={40} />
        </span>
        <h1>{waitingFor !== null ? words.waitingFor(waitingFor) : first ? words.firstRun : words.choose}</h1>
        {waitingFor === null && <p className="quiet">{first ? words.firstRunText : words.chooseText}</p>}
      </div>
      <div className="foot">
        <ConnectionLine />
      </div>
    </main>
  );
}
