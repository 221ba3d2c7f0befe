/** Finds people by part of a name: a search field and the options below it. */

import { type KeyboardEvent, useEffect, useId, useState } from "react";
import { ChatError, type User } from "@chatd/client";
import { useChat } from "../context.js";
import { useReadable } from "../hooks.js";
import { Avatar } from "../ui/avatar.js";
import { placeOf } from "../ui/focus.js";
import { Icon } from "../ui/icons.js";
import { nextItem } from "../ui/menu.js";
import { words } from "../words.js";

const TYPED_MS = 150;
const MAX_PEOPLE = 50;

export function People({
  chosen,
  onChoose,
}: {
  /** Several may be chosen; undefined: the first choice is it. */
  chosen?: readonly User[];
  onChoose: (user: User) => void;
}) {
  const [query, setQuery] = useState("");
  const { found, at, setAt } = useFound(query);
  const list = useId();
  const options = found ?? [];
  const active = options[at];
  const pressed = (event: KeyboardEvent<HTMLElement>) => {
    if (event.nativeEvent.isComposing || event.keyCode === 229) return;
    const to = event.key === "Home" || event.key === "End" ? null : nextItem(event.key, at, options.length);
    if (event.key === "Enter") {
      event.preventDefault();
      if (active) onChoose(active);
    } else if (to !== null && event.key.startsWith("Arrow") && !/Left|Right/.test(event.key)) {
      event.preventDefault();
      setAt(to);
      placeOf(event.currentTarget).getElementById(`${list}-${to}`)?.scrollIntoView({ block: "nearest" });
    }
  };
  return (
    <>
      <div className="search">
        <Icon name="search" size={18} />
        <input
          type="search"
          aria-label={words.findPerson}
          placeholder={words.findPerson}
          aria-controls={options.length > 0 ? list : undefined}
          aria-activedescendant={active ? `${list}-${at}` : undefined}
          value={query}
          maxLength={200}
          autoFocus
          dir="auto"
          onChange={(event) => {
            setQuery(event.target.value);
          }}
          onKeyDown={pressed}
        />
      </div>
      {options.length > 0 ? (
        <div
          id={list}
          className="people"
          role="listbox"
          tabIndex={-1}
          aria-label={words.people}
          aria-multiselectable={chosen ? true : undefined}
        >
          {options.map((user, index) => (
            <Person
              key={user.id}
              id={`${list}-${index}`}
              user={user}
              active={index === at}
              selected={chosen ? chosen.some(({ id }) => id === user.id) : index === at}
              marked={chosen !== undefined}
              onChoose={onChoose}
            />
          ))}
        </div>
      ) : (
        <p className="people quiet">{found ? words.nobodyFound : ""}</p>
      )}
    </>
  );
}

/** Whom a query finds, and which of them the keys are at. */
function useFound(query: string) {
  const { client } = useChat();
  const me = useReadable(client.connection).user?.id;
  const [found, setFound] = useState<readonly User[] | null>(null);
  const [at, setAt] = useState(0);

  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(() => {
      client
        .listUsers({ ...(query.trim() ? { query: query.trim() } : {}), limit: MAX_PEOPLE, signal: stop.signal })
        .then(
          ({ users }) => {
            if (stop.signal.aborted) return;
            setFound(users.filter(({ id }) => id !== me));
            setAt(0);
          },
          (error: unknown) => {
            if (!stop.signal.aborted && error instanceof ChatError) setFound([]);
          },
        );
    }, TYPED_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [client, query, me]);
  return { found, at, setAt };
}

/** An option; the search field has the focus and hears the keys. */
function Person({
  id,
  user,
  active,
  selected,
  marked,
  onChoose,
}: {
  id: string;
  user: User;
  active: boolean;
  selected: boolean;
  /** The choice has a sign of its own. */
  marked: boolean;
  onChoose: (user: User) => void;
}) {
  return (
    <div
      id={id}
      role="option"
      aria-selected={selected}
      className={`person${active ? " active" : ""}`}
      onMouseDown={(event) => {
        event.preventDefault();
      }}
      onClick={() => {
        onChoose(user);
      }}
    >
      <Avatar id={user.id} name={user.name} url={user.avatar_url ?? null} />{" "}
      <span className="person-text">
        <bdi>{user.name}</bdi> <span className="quiet">{words.roles[user.role]}</span>
      </span>
      {marked && selected && <Icon name="check" />}
    </div>
  );
}
