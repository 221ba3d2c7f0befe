import { useEffect, useState, useSyncExternalStore } from "react";
import type { Client, Draft, Edit, EditingClient, Readable, StagedFile } from "@chatd/client";
import { NARROW_BELOW_PX } from "./narrow.js";

/** The value now, while rendering on a server too; renders anew when it changes. */
export function useReadable<T>({ subscribe, getSnapshot }: Readable<T>): T {
  return useSyncExternalStore(subscribe, getSnapshot, getSnapshot);
}

/** The draft of one conversation; those of others render nothing anew. */
export function useDraft({ drafts }: Client, conversation: string): Draft | null {
  return useSyncExternalStore(drafts.subscribe, () => drafts.getSnapshot()?.get(conversation) ?? null);
}

/** The edit that is open in the field of a conversation. */
export function useEdit({ edits }: EditingClient, conversation: string): Edit | null {
  const open = (edit: Edit) => edit.conversation === conversation && edit.phase === "writing";
  return useSyncExternalStore(edits.subscribe, () => edits.getSnapshot().findLast(open) ?? null);
}

/** True if there is one; what is typed into it renders nothing anew. */
export function useEditing({ edits }: EditingClient, conversation: string): boolean {
  const open = (edit: Edit) => edit.conversation === conversation && edit.phase === "writing";
  return useSyncExternalStore(edits.subscribe, () => edits.getSnapshot().some(open));
}

const NO_FILES: readonly StagedFile[] = [];

/** Files beside the draft of one conversation. */
export function useStaged({ staged }: Client, conversation: string): readonly StagedFile[] {
  return useSyncExternalStore(staged.subscribe, () => staged.getSnapshot().get(conversation) ?? NO_FILES);
}

const NARROW = `(max-width: ${NARROW_BELOW_PX - 1}px)`;

/** One pane at a time. */
export function useNarrow(): boolean {
  return useSyncExternalStore(
    (changed) => {
      const query = matchMedia(NARROW);
      query.addEventListener("change", changed);
      return () => {
        query.removeEventListener("change", changed);
      };
    },
    () => matchMedia(NARROW).matches,
  );
}

/** True `ms` after `since` (of `Date.now`), and false at once where that is null. */
export function useElapsed(since: number | null, ms: number): boolean {
  const [reached, setReached] = useState<number | null>(null);
  useEffect(() => {
    if (since === null) return;
    const timer = setTimeout(
      () => {
        setReached(since);
      },
      Math.max(0, since + ms - Date.now()),
    );
    return () => {
      clearTimeout(timer);
    };
  }, [since, ms]);
  return since !== null && reached === since;
}

/** Renders anew each minute, as times like "Today" grow old. */
export function useMinute(): void {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => {
      tick((count) => count + 1);
    }, 60_000);
    return () => {
      clearInterval(timer);
    };
  }, []);
}
