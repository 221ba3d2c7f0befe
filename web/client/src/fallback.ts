/** The choice between two transports: the better one, until the network turns out to break it. */

import type { Environment } from "./environment.js";
import type { Network } from "./network.js";
import { pollingTransport } from "./polling.js";
import { type Transport, type TransportConnection, type TransportEvents, webSocket } from "./transport.js";

/** Between two tries of the better one, doubled each time. */
const PROBE_FIRST_MS = 60_000;
const PROBE_MOST_MS = 600_000;
const PROBE_TIMEOUT_MS = 15_000;
/** Without a frame, after which a connection that is given up counts as broken. */
const SILENT_MS = 7_500;
/** Connections in a row that broke soon after they came about, until the transport counts as broken here. */
const BREAKS = 3;
const STEADY_MS = 30_000;
const ABNORMAL_CLOSURE = 1006;
const GOING_AWAY = 1001;

/** True if the better transport is broken here, as far as is known. */
interface Knowledge {
  broken: boolean;
  /** Connections in a row that broke soon. */
  breaks: number;
}

/** A WebSocket, and long polling where the network breaks that. */
export function webSocketOrPolling(network: Network): Transport {
  const polling = pollingTransport({
    env: network.env,
    server: network.origin(),
    credentials: network.authorize,
    refusalIsFinal: network.signIn.kind !== "development",
  });
  return fallingBack(network.env, webSocket(network), polling);
}

/**
 * Connects by `best`; where that fails before a frame came, or breaks again and again, by `other`. While that carries
 * the frames, it tries now and then whether `best` works, and returns to it.
 */
export function fallingBack(env: Environment, best: Transport, other: Transport): Transport {
  const known: Knowledge = { broken: false, breaks: 0 };
  const instead = (events: TransportEvents) => new Instead(env, best, other, known, events);
  return {
    connect: (events) => (known.broken ? instead(events) : connectBest(env, best, known, events, instead)),
  };
}

function connectBest(
  env: Environment,
  best: Transport,
  known: Knowledge,
  events: TransportEvents,
  instead: (events: TransportEvents) => TransportConnection,
): TransportConnection {
  const began = env.monotonic();
  let opened = false;
  let heard = false;
  let connection = best.connect({
    open: () => {
      opened = true;
      events.open();
    },
    frame: (text) => {
      heard = true;
      events.frame(text);
    },
    close: (code, reason) => {
      const lost = code === ABNORMAL_CLOSURE;
      known.breaks = lost && env.monotonic() - began < STEADY_MS ? known.breaks + 1 : 0;
      if (lost && (heard ? known.breaks >= BREAKS : opened)) known.broken = true;
      // At once: whoever waits for a page need not wait for two failures.
      if (lost && !opened) connection = instead(events);
      else events.close(code, reason);
    },
  });
  return {
    send: (text) => {
      connection.send(text);
    },
    close: () => {
      // The connection is open, and nothing gets through.
      if (opened && !heard && env.monotonic() - began >= SILENT_MS) known.broken = true;
      connection.close();
    },
  };
}

class Instead implements TransportConnection {
  private readonly connection: TransportConnection;
  private heard = false;
  private timer: unknown;
  private probe: TransportConnection | null = null;

  constructor(
    private readonly env: Environment,
    private readonly best: Transport,
    other: Transport,
    private readonly known: Knowledge,
    private readonly events: TransportEvents,
  ) {
    this.connection = other.connect({
      open: () => {
        events.open();
      },
      frame: (text) => {
        if (!this.heard) this.probeLater(PROBE_FIRST_MS);
        this.heard = known.broken = true;
        events.frame(text);
      },
      close: (code, reason) => {
        this.rest();
        if (!this.heard) known.broken = false; // neither works: the network may be down
        events.close(code, reason);
      },
    });
  }

  send(text: string): void {
    this.connection.send(text);
  }

  close(): void {
    this.rest();
    this.connection.close();
  }

  private probeLater(ms: number): void {
    const again = () => {
      this.rest();
      this.probeLater(Math.min(2 * ms, PROBE_MOST_MS));
    };
    this.timer = this.env.setTimeout(() => {
      this.timer = this.env.setTimeout(again, PROBE_TIMEOUT_MS);
      // The server tells a stranger who pings to say hello: so frames get through, both ways.
      this.probe = this.best.connect({
        open: () => this.probe?.send('{"type":"ping","id":0}'),
        frame: () => {
          this.close();
          this.known.broken = false;
          this.known.breaks = 0;
          this.events.close(GOING_AWAY, "back to the better way");
        },
        close: again,
      });
    }, ms);
  }

  private rest(): void {
    this.env.clearTimeout(this.timer);
    this.probe?.close();
    this.probe = null;
  }
}
