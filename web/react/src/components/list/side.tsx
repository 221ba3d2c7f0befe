/** The left column: who I am, search, the list. */

import { useState } from "react";
import { ConnectionLine } from "../connection-line.js";
import { useChat } from "../context.js";
import { useReadable } from "../hooks.js";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";
import { ConversationList } from "./conversation-list.js";
import { NewConversation } from "./new-conversation.js";
import { NewGroup } from "./new-group.js";
import { SearchResults } from "./search-results.js";

export function Side({ shown, alone }: { shown: string | null; alone: boolean }) {
  const { client, brand, buttons } = useChat();
  const { user } = useReadable(client.connection);
  const [query, setQuery] = useState("");
  const [dialog, setDialog] = useState<"conversation" | "group" | null>(null);
  const Heading = alone ? "h1" : "p";
  const Head = alone ? "div" : "header"; // landmarks of the page don't stand inside another
  const Foot = alone ? "div" : "footer";
  const close = () => {
    setDialog(null);
  };
  return (
    <div className="side" role={alone ? "main" : undefined}>
      <Head className="side-head">
        {brand.logoUrl && <img className="logo" src={brand.logoUrl} alt="" />}
        <div className="side-names">
          <Heading className="brand" dir="auto">
            {brand.name || words.conversations}
          </Heading>
          <p className="quiet" dir="auto">
            {user?.name ?? " "}
          </p>
        </div>
        {buttons}
      </Head>
      <div className="side-tools" role="search">
        <div className="search">
          <Icon name="search" size={18} />
          <input
            type="search"
            aria-label={words.searchMessages}
            placeholder={words.searchMessages}
            value={query}
            maxLength={200}
            dir="auto"
            onChange={(event) => {
              setQuery(event.target.value);
            }}
            onKeyDown={(event) => {
              if (event.key === "Escape" && !event.nativeEvent.isComposing) setQuery("");
            }}
          />
        </div>
      </div>
      {query.trim() ? <SearchResults query={query.trim()} /> : <ConversationList shown={shown} />}
      <Foot className="side-new">
        <button
          type="button"
          className="button primary"
          onClick={() => {
            setDialog("conversation");
          }}
        >
          <Icon name="plus" size={18} />
          {words.newConversation}
        </button>
        <button
          type="button"
          className="button"
          onClick={() => {
            setDialog("group");
          }}
        >
          <Icon name="group" size={18} />
          {words.newGroup}
        </button>
      </Foot>
      {alone && (
        <div className="foot">
          <ConnectionLine />
        </div>
      )}
      {dialog === "conversation" && <NewConversation onClose={close} />}
      {dialog === "group" && <NewGroup onClose={close} />}
    </div>
  );
}
