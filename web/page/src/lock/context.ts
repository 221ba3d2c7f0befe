import { createContext } from "react";
import type { Lock } from "./use-lock.js";

/** The lock of this screen; null in a part of another page, which sees to that itself. */
export const LockContext = createContext<Lock | null>(null);
