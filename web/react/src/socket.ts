/** The chatd client in the shape that front ends of Socket.IO know: `id`, `connected`, `on`, `off`. */

import type { AnyEvent, Client, ConnectionSnapshot, Incoming, SessionEnd } from "@chatd/client";

/** Arguments of a listener, by name; any other name is a protocol event, whose listener is called with the event. */
export interface SocketEvents {
  readonly connect: () => void;
  readonly disconnect: (reason: string) => void;
  /** The sign-in was refused, or the session ended: it doesn't come back by itself. */
  readonly connect_error: (end: SessionEnd) => void;
  /** A message of somebody else came in. */
  readonly message: (incoming: Incoming) => void;
}

type Heard = (event: AnyEvent) => void;
export type Listener<Name extends string> = Name extends keyof SocketEvents ? SocketEvents[Name] : Heard;

export interface Socket extends Client {
  /** The session's id; undefined while there is none. */
  readonly id: string | undefined;
  readonly connected: boolean;
  on<Name extends string>(name: Name, listener: Listener<Name>): Socket;
  off<Name extends string>(name: Name, listener?: Listener<Name>): Socket;
}

type Call = (...values: never[]) => void;

const sockets = new WeakMap<Client, Socket>();

/** Returns the one socket of a client: all that the client is, and the four names. */
export function socketOf(client: Client): Socket {
  const known = sockets.get(client);
  if (known) return known;
  const listeners = new Map<string, Set<Call>>();
  let stop: (() => void) | null = null;
  const tell = (name: string, ...values: unknown[]) => {
    for (const listener of [...(listeners.get(name) ?? [])]) (listener as (...values: unknown[]) => void)(...values);
  };
  const socket = Object.create(client, {
    id: { get: () => client.connection.getSnapshot().session ?? undefined },
    connected: { get: () => client.connection.getSnapshot().phase === "online" },
    on: {
      value: (name: string, listener: Call) => {
        const those = listeners.get(name) ?? new Set();
        listeners.set(name, those.add(listener));
        stop ??= watch(client, tell); // nothing is watched for nobody
        return socket;
      },
    },
    off: {
      value: (name: string, listener?: Call) => {
        if (listener) listeners.get(name)?.delete(listener);
        else listeners.delete(name);
        if ([...listeners.values()].every(({ size }) => size === 0)) {
          stop?.();
          stop = null;
        }
        return socket;
      },
    },
  }) as Socket;
  sockets.set(client, socket);
  return socket;
}

function watch(client: Client, tell: (name: string, ...values: unknown[]) => void): () => void {
  let before = client.connection.getSnapshot();
  const ends = [
    client.connection.subscribe(() => {
      const now = client.connection.getSnapshot();
      const last = before;
      before = now;
      told(last, now, tell);
    }),
    client.onIncoming((incoming) => {
      tell("message", incoming);
    }),
    client.onEvent((event) => {
      tell(event.type, event);
    }),
  ];
  return () => {
    for (const end of ends) end();
  };
}

function told(
  last: ConnectionSnapshot,
  now: ConnectionSnapshot,
  tell: (name: string, ...values: unknown[]) => void,
): void {
  if (now.phase === "online" && last.phase !== "online") tell("connect");
  if (now.phase !== "online" && last.phase === "online") {
    tell("disconnect", now.ended?.message ?? (now.phase === "stopped" ? "client" : "transport close"));
  }
  if (now.ended && now.ended !== last.ended) tell("connect_error", now.ended);
}
