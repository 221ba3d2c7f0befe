import { createContext } from "react";
import type { Lock } from "./use-lock.js";

/** The lock of this screen; null where there is none. */
export const LockContext = createContext<Lock | null>(null);
