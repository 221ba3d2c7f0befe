import { useEffect, useState } from "react";
import type { Attachment } from "@chatd/client";
import { useChat } from "../context.js";

/** Links that name the user are good for 5 min. */
const RENEW_MS = 240_000;

/**
 * A file's address; null until it is known. It stays the same for as long as it is shown, as a player that gets another
 * begins anew, unless `renewed` is asked for. `round`: another asks once more.
 */
export function useFileUrl(
  file: Attachment,
  which: "whole" | "thumbnail",
  { renewed = false, round = 0 }: { renewed?: boolean; round?: number } = {},
): string | null {
  const { client } = useChat();
  const [url, setUrl] = useState<string | null>(null);
  const [minute, setMinute] = useState(0);
  const { id, url: whole, thumbnail_url: thumbnail } = file;

  useEffect(() => {
    let over = false;
    const found = client.fileUrl({ id, url: whole, thumbnail_url: thumbnail } as Attachment, which);
    if (typeof found === "string") {
      setUrl(found);
      return;
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = () => {
      if (renewed && !over)
        timer = setTimeout(() => {
          setMinute((now) => now + 1);
        }, RENEW_MS);
    };
    found.then((made) => {
      if (!over) setUrl(made);
      again();
    }, again);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [client, id, whole, thumbnail, which, renewed, round, minute]);
  return url;
}
