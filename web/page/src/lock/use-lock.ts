import { useCallback, useEffect, useState } from "react";
import type { User } from "@chatd/client";
import { belongsTo, canLock, choosePin, hasPin, isLocked, lastInput, lock, noteInput } from "./pin.js";

export interface Lock {
  /** True if this person has a screen that can be locked: patients have a device of their own. */
  readonly offered: boolean;
  readonly chosen: boolean;
  readonly locked: boolean;
  readonly lockNow: () => void;
  readonly choose: (pin: string) => Promise<void>;
  /** The state is another one now. */
  readonly changed: () => void;
}

const INPUTS = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"] as const;
const NOTED_EVERY_MS = 2_000;
const LOOK_EVERY_MS = 1_000;

/** Locks every tab of this browser after so many seconds without input; 0: never by itself. */
export function useLock(user: User | null, afterS: number): Lock {
  const [state, setState] = useState(() => now(afterS));
  const changed = useCallback(() => {
    const next = now(afterS);
    setState((last) => (last.chosen === next.chosen && last.locked === next.locked ? last : next));
  }, [afterS]);

  useEffect(() => {
    if (user) belongsTo(user.id);
    changed();
  }, [user, changed]);

  useEffect(() => {
    window.addEventListener("storage", changed);
    return () => {
      window.removeEventListener("storage", changed);
    };
  }, [changed]);

  const watching = state.chosen && !state.locked && afterS > 0;
  useEffect(() => {
    if (!watching) return;
    let noted = 0;
    const input = () => {
      const at = Date.now();
      if (at - noted < NOTED_EVERY_MS || isOver(afterS, at)) return; // what comes too late unlocks nothing
      noted = at;
      noteInput(at);
    };
    for (const kind of INPUTS) window.addEventListener(kind, input, { capture: true, passive: true });
    const timer = setInterval(changed, LOOK_EVERY_MS);
    document.addEventListener("visibilitychange", changed); // timers rest while a computer sleeps
    return () => {
      for (const kind of INPUTS) window.removeEventListener(kind, input, { capture: true });
      clearInterval(timer);
      document.removeEventListener("visibilitychange", changed);
    };
  }, [watching, afterS, changed]);

  return {
    ...state,
    offered: user !== null && user.role !== "patient" && canLock(),
    lockNow: () => {
      lock();
      changed();
    },
    choose: async (pin) => {
      if (user) await choosePin(user.id, pin);
      changed();
    },
    changed,
  };
}

function now(afterS: number): { readonly chosen: boolean; readonly locked: boolean } {
  if (hasPin() && !isLocked() && isOver(afterS, Date.now())) lock();
  return { chosen: hasPin(), locked: isLocked() };
}

function isOver(afterS: number, at: number): boolean {
  return afterS > 0 && lastInput() > 0 && at - lastInput() >= afterS * 1000;
}
