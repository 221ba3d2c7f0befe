import { memo, useEffect, useState } from "react";
import type { ConversationSnapshot } from "@chatd/client";
import { personOf, useChat } from "../context.js";
import { useMinute, useReadable } from "../hooks.js";
import { isPresent, otherOf, titleOf } from "../names.js";
import { spokenTime } from "../times.js";
import { Avatar } from "../ui/avatar.js";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";

/** Name, role, and whether they are there. */
export const Header = memo(function Header({ snapshot, narrow }: { snapshot: ConversationSnapshot; narrow: boolean }) {
  const { client, show } = useChat();
  useMinute();
  const users = useReadable(client.users);
  const presence = useReadable(client.presence);
  const { user: self, phase } = useReadable(client.connection);
  const other = otherOf(snapshot, self?.id ?? "");
  const title = titleOf(snapshot, users, self?.id ?? "");
  const shown = useLastOf(title); // one who was taken out still sees of what
  const person = other === null ? null : personOf(users, other);
  const there = other === null ? undefined : presence.get(other);
  const online = phase === "online" && there?.online === true;

  useEffect(() => {
    if (other !== null && phase === "online") client.getPresence([other]).catch(() => undefined);
  }, [client, other, phase]);

  const parts: string[] = [];
  if (person?.role) parts.push(words.roles[person.role]);
  if (online) parts.push(words.online);
  else if (there?.last_seen) {
    parts.push(words.lastSeen(spokenTime(Date.parse(there.last_seen), client.serverNow())));
  }
  if (snapshot.info?.kind === "group") {
    const names = snapshot.participants.filter(isPresent).map(({ user }) => personOf(users, user).name);
    parts.push(words.members(names.length), names.slice(0, 8).join(", "));
  }
  return (
    <header className="head">
      {narrow && (
        <button
          type="button"
          className="icon-button"
          aria-label={words.back}
          onClick={() => {
            show(null);
          }}
        >
          <Icon name="back" />
        </button>
      )}
      <Avatar id={other ?? snapshot.id} name={shown} url={person?.avatar_url ?? null} online={online} />
      <div className="head-text">
        <h1>
          <bdi>{shown || words.conversations}</bdi>
        </h1>
        <p className="quiet">
          <bdi>{parts.join(" · ") || "\u00a0"}</bdi>
        </p>
      </div>
    </header>
  );
});

/** The last text that was not empty. */
function useLastOf(text: string): string {
  const [last, setLast] = useState(text);
  if (text && text !== last) setLast(text);
  return text || last;
}
