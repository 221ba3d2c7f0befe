import { useEffect, useState } from "react";
import { ChatError, type SearchOk } from "@chatd/client";
import { personOf, useChat } from "../context.js";
import { useReadable } from "../hooks.js";
import { titleOf } from "../names.js";
import { fullTime, shortTime } from "../times.js";
import { Snippet } from "./snippet.js";
import { words } from "../words.js";

const TYPED_MS = 250;

type Found = { readonly query: string; readonly hits: SearchOk["hits"]; readonly cursor: string | null } | null;

/** Messages that have all the words; a press leads to each. */
export function SearchResults({ query }: { query: string }) {
  const { client, tell } = useChat();
  const [found, setFound] = useState<Found>(null);
  const [failed, setFailed] = useState(false);

  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(() => {
      setFailed(false);
      client.search(query, { signal: stop.signal }).then(
        ({ hits, cursor }) => {
          if (!stop.signal.aborted) setFound({ query, hits, cursor });
        },
        (error: unknown) => {
          if (!stop.signal.aborted && error instanceof ChatError) setFailed(true);
        },
      );
    }, TYPED_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [client, query]);

  const more = async () => {
    if (!found?.cursor) return;
    try {
      const next = await client.search(query, { cursor: found.cursor });
      setFound((now) => (now === found ? { ...next, query, hits: [...found.hits, ...next.hits] } : now));
    } catch {
      tell(words.searchFailed);
    }
  };
  const current = found?.query === query;
  const said = failed ? words.searchFailed : !found ? words.searching : words.nothingFound(found.query);
  return (
    <section className="list" aria-label={words.found}>
      {found && found.hits.length > 0 && !failed ? (
        <ul aria-label={words.searchResults} className={current ? "" : "stale"}>
          {found.hits.map((hit) => (
            <Hit key={hit.message.id} hit={hit} />
          ))}
        </ul>
      ) : (
        <p className="list-empty">{said}</p>
      )}
      {found?.cursor && current && (
        <button type="button" className="list-more" onClick={() => void more()}>
          {words.moreResults}
        </button>
      )}
    </section>
  );
}

function Hit({ hit: { conversation, message, snippet } }: { hit: SearchOk["hits"][number] }) {
  const { client, show } = useChat();
  const users = useReadable(client.users);
  const { items } = useReadable(client.conversations);
  const me = useReadable(client.connection).user?.id ?? "";
  const item = items.find(({ id }) => id === conversation);
  const sender = message.sender == null ? words.system : personOf(users, message.sender).name;
  const at = Date.parse(message.sent_at);
  return (
    <li className="row">
      <button
        type="button"
        className="hit"
        onClick={() => {
          show(conversation, message.seq);
        }}
      >
        <span className="row-text">
          <span className="row-top">
            <bdi className="row-name">{item ? titleOf(item, users, me) : sender}</bdi>{" "}
            <time dateTime={message.sent_at} title={fullTime(at)}>
              {shortTime(at, client.serverNow())}
            </time>
          </span>{" "}
          <span className="hit-text">
            <bdi className="row-who">{sender}:</bdi> <Snippet text={snippet} />
          </span>
        </span>
      </button>
    </li>
  );
}
