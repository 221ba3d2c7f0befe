/** Files on their way into a conversation's draft: by button, paste, drop or camera. */

import { type DragEvent, useCallback, useState } from "react";
import type { StagedFile } from "@chatd/client";
import { useChat } from "../context.js";
import { useReadable, useStaged } from "../hooks.js";
import { refusalOf } from "./acceptable.js";

const DEFAULT_MAX_BYTES = 26_214_400;
const DEFAULT_MAX_FILES = 10;

/** One that was not taken. */
export interface RefusedFile {
  readonly key: number;
  readonly name: string;
  readonly why: string;
}

export interface Attaching {
  readonly staged: readonly StagedFile[];
  readonly refused: readonly RefusedFile[];
  readonly add: (files: readonly File[]) => void;
  readonly remove: (key: string) => void;
  readonly dismiss: (key: number) => void;
}

/** `id`: files that are added here belong to that conversation, whatever is on screen when they have gone up. */
export function useAttaching(id: string): Attaching {
  const { client } = useChat();
  const staged = useStaged(client, id);
  const { limits } = useReadable(client.connection);
  const [refused, setRefused] = useState<readonly RefusedFile[]>([]);
  const bytes = limits?.max_attachment_bytes ?? DEFAULT_MAX_BYTES;
  const most = limits?.max_attachments ?? DEFAULT_MAX_FILES;

  const add = useCallback(
    (files: readonly File[]) => {
      const fresh: RefusedFile[] = [];
      for (const file of files) {
        const there = client.staged.getSnapshot().get(id)?.length ?? 0;
        const why = refusalOf(file, there, { bytes, files: most });
        if (why === null) client.attach(id, file, file.name);
        else fresh.push({ key: nextKey(), name: file.name, why });
      }
      setRefused(fresh);
    },
    [client, id, bytes, most],
  );
  return {
    staged,
    refused,
    add,
    remove: (key) => {
      client.detach(key);
    },
    dismiss: (key) => {
      setRefused(refused.filter((each) => each.key !== key));
    },
  };
}

let lastKey = 0;
const nextKey = () => (lastKey += 1);

/** Returns the handlers of an element that files can be dropped on; `over`: some hover above it. */
export function useDrop(add: ((files: readonly File[]) => void) | null) {
  const [depth, setDepth] = useState(0);
  const carries = ({ dataTransfer }: DragEvent) => add !== null && dataTransfer.types.includes("Files");
  const handlers = {
    onDragEnter: (event: DragEvent) => {
      if (carries(event)) setDepth((now) => now + 1);
    },
    onDragLeave: (event: DragEvent) => {
      if (carries(event)) setDepth((now) => Math.max(0, now - 1));
    },
    onDragOver: (event: DragEvent) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault(); // else the browser leaves the page for the file
      event.dataTransfer.dropEffect = add ? "copy" : "none";
    },
    onDrop: (event: DragEvent) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      setDepth(0);
      add?.([...event.dataTransfer.files]);
    },
  };
  return { over: depth > 0, handlers };
}
