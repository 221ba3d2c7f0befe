/** Pinned first, then by newest message; what is archived stands in a list of its own. */

import { useCallback, useState } from "react";
import { useChat } from "../context.js";
import { useElapsed, useMinute, useReadable } from "../hooks.js";
import { words } from "../words.js";
import { Row } from "./row.js";
import { RowMenu } from "./row-menu.js";

const SKELETON_AFTER_MS = 300;

export function ConversationList({ shown }: { shown: string | null }) {
  const { client, tell } = useChat();
  useMinute();
  const { ready, items, more } = useReadable(client.conversations);
  const [began] = useState(() => Date.now());
  const slow = useElapsed(ready ? null : began, SKELETON_AFTER_MS);
  const [archived, setArchived] = useState(false);
  const [menu, setMenu] = useState<{ readonly id: string; readonly trigger: HTMLElement } | null>(null);
  const openMenu = useCallback((id: string, trigger: HTMLElement) => {
    setMenu({ id, trigger });
  }, []);
  const rows = items.filter(({ membership }) => membership.archived === archived);
  const chosen = menu && items.find(({ id }) => id === menu.id);
  const failed = () => {
    tell(words.actionFailed);
  };
  const showArchive = (on: boolean) => {
    setArchived(on);
    if (on) client.loadMoreConversations({ archived: true }).catch(failed);
  };
  return (
    <nav className="list" aria-label={words.conversations}>
      {archived && (
        <button
          type="button"
          className="list-more"
          onClick={() => {
            showArchive(false);
          }}
        >
          {words.back}
        </button>
      )}
      {!ready && slow && <Skeleton />}
      {ready && !archived && items.length === 0 && (
        <p className="list-empty">
          <strong>{words.firstRun}</strong>
          <br />
          {words.firstRunText}
        </p>
      )}
      <ul>
        {rows.map((item) => (
          <Row key={item.id} item={item} current={item.id === shown} onMenu={openMenu} />
        ))}
      </ul>
      {more && !archived && (
        <button
          type="button"
          className="list-more"
          onClick={() => {
            client.loadMoreConversations().catch(failed);
          }}
        >
          {words.moreConversations}
        </button>
      )}
      {ready && !archived && items.length > 0 && (
        <button
          type="button"
          className="list-more quiet"
          onClick={() => {
            showArchive(true);
          }}
        >
          {words.archived}
        </button>
      )}
      {menu && chosen && (
        <RowMenu
          item={chosen}
          trigger={menu.trigger}
          onClose={() => {
            setMenu(null);
          }}
        />
      )}
    </nav>
  );
}

function Skeleton() {
  return (
    <div className="skeleton" aria-hidden="true">
      {[0, 1, 2, 3, 4].map((row) => (
        <div key={row} className="skeleton-row">
          <span />
          <div>
            <span />
            <span />
          </div>
        </div>
      ))}
    </div>
  );
}
