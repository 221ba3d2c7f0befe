/**
 * The PIN of this computer, for a screen that locks itself while nobody is there. It keeps eyes away, and hands that
 * type; whoever takes the browser apart is kept away by signing out alone. So it stays in the browser, as a slow hash.
 */

const KEPT = "chatd.lock";
const INPUT = "chatd.lock.input";

const HASH_ROUNDS = 200_000;
const FREE_TRIES = 5;
const WAIT_MS = 60_000;
const MAX_WAIT_MS = 3_600_000;

export const PIN = /^[0-9]{4,12}$/;

interface Kept {
  readonly user: string;
  readonly salt: string;
  readonly hash: string;
  readonly locked: boolean;
  /** Wrong PINs in a row, and when the next may be tried. */
  readonly wrong: number;
  readonly notBefore: number;
}

export type Tried = { readonly right: true } | { readonly right: false; readonly waitS: number };

/** Hashing needs https, or this machine itself. */
export function canLock(): boolean {
  return isSecureContext && "subtle" in crypto && storage() !== null;
}

export function hasPin(): boolean {
  return read() !== null;
}

export function isLocked(): boolean {
  return read()?.locked ?? false;
}

export async function choosePin(user: string, pin: string): Promise<void> {
  const salt = hex(crypto.getRandomValues(new Uint8Array(16)));
  write({ user, salt, hash: await hashOf(pin, salt), locked: true, wrong: 0, notBefore: 0 });
}

export function lock(): void {
  const kept = read();
  if (kept && !kept.locked) write({ ...kept, locked: true });
}

/** A PIN of somebody else who was signed in here is none. */
export function belongsTo(user: string): void {
  const kept = read();
  if (kept && kept.user !== user) forgetPin();
}

/** Unlocks the page and forgets wrong tries: a sign-in proves more than a PIN does. */
export function signedInAnew(): void {
  const kept = read();
  if (!kept) return;
  write({ ...kept, locked: false, wrong: 0, notBefore: 0 });
  noteInput();
}

export function forgetPin(): void {
  storage()?.removeItem(KEPT);
  storage()?.removeItem(INPUT);
}

export async function unlock(pin: string, now = Date.now()): Promise<Tried> {
  const kept = read();
  if (!kept) return { right: true };
  if (kept.notBefore > now) return { right: false, waitS: Math.ceil((kept.notBefore - now) / 1000) };
  // Counted before it is hashed: many at once, in many tabs, get no more tries than one by one.
  const wrong = kept.wrong + 1;
  const over = wrong - FREE_TRIES;
  const wait = over >= 0 ? Math.min(WAIT_MS * 2 ** Math.min(over, 10), MAX_WAIT_MS) : 0;
  write({ ...kept, wrong, notBefore: wait ? now + wait : 0 });
  if ((await hashOf(pin, kept.salt)) !== kept.hash) return { right: false, waitS: wait / 1000 };
  write({ ...kept, locked: false, wrong: 0, notBefore: 0 });
  noteInput(now);
  return { right: true };
}

/** Somebody is there. */
export function noteInput(now = Date.now()): void {
  storage()?.setItem(INPUT, String(now));
}

/** Since when nobody is there, in any tab; 0 where that isn't known. */
export function lastInput(): number {
  return Number(storage()?.getItem(INPUT)) || 0;
}

/** Null where the browser keeps nothing for this page. */
function storage(): Storage | null {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

function read(): Kept | null {
  try {
    return JSON.parse(storage()?.getItem(KEPT) ?? "null") as Kept | null;
  } catch {
    return null;
  }
}

function write(kept: Kept): void {
  storage()?.setItem(KEPT, JSON.stringify(kept));
}

async function hashOf(pin: string, salt: string): Promise<string> {
  const bytes = new TextEncoder();
  const key = await crypto.subtle.importKey("raw", bytes.encode(pin), "PBKDF2", false, ["deriveBits"]);
  const how = { name: "PBKDF2", hash: "SHA-256", salt: bytes.encode(salt), iterations: HASH_ROUNDS };
  return hex(new Uint8Array(await crypto.subtle.deriveBits(how, key, 256)));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
