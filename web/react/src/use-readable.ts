import { useSyncExternalStore } from "react";
import type { Readable } from "@chatd/client";

/** The value now, while rendering on a server too; renders anew when it changes. */
export function useReadable<T>({ subscribe, getSnapshot }: Readable<T>): T {
  return useSyncExternalStore(subscribe, getSnapshot, getSnapshot);
}
