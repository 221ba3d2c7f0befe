import { useEffect, useState } from "react";
import { ChatError } from "@chatd/client";
import type { Chat } from "./context.js";
import { words } from "./words.js";

const RETRY_MS = 1_000;

/**
 * Opens the conversation with the person that `/?with=ID` names. In development mode people appear when they first
 * sign in: then it waits for them, and returns their id meanwhile.
 */
export function useWantedPerson(
  { client, show, tell }: Chat,
  person: string | null,
  development: boolean,
): string | null {
  const [waiting, setWaiting] = useState(false);
  useEffect(() => {
    if (person === null) return;
    let over = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const open = () => {
      client.open(person).then(
        (conversation) => {
          if (over) return;
          setWaiting(false);
          show(conversation);
        },
        (error: unknown) => {
          if (over || (error instanceof ChatError && error.code === "closed")) return;
          const unknown = error instanceof ChatError && error.code === "not_found";
          if (unknown && !development) tell(words.unknownPerson);
          else if (error instanceof ChatError && !unknown && !error.temporary) tell(words.unknownPerson);
          else {
            setWaiting(true);
            timer = setTimeout(open, RETRY_MS);
          }
        },
      );
    };
    open();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [client, show, tell, person, development]);
  return waiting ? person : null;
}
