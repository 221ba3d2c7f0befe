/** Carrier of frames: a WebSocket here, anything that keeps their order elsewhere. */

import type { Network } from "./network.js";

export interface TransportEvents {
  /** Ready for the first frame. */
  open(): void;
  /** A frame came: the text of one JSON object. */
  frame(text: string): void;
  /** End of the connection, or of the attempt (code 1006); nothing is called after it. */
  close(code: number, reason: string): void;
}

export interface TransportConnection {
  send(text: string): void;
  /** Ends it; `close` of the events is not called any more. */
  close(): void;
}

export interface Transport {
  /** Begins to connect; the events come later, never within the call. */
  connect(events: TransportEvents): TransportConnection;
}

/** A WebSocket to the server and nothing else; `WebSocket` is looked up at the time of connecting. */
export function webSocket({ server }: Pick<Network, "server">): Transport {
  return {
    connect(events) {
      const socket = new WebSocket(socketUrl(server()), "chat.v1.json");
      let over = false;
      socket.onopen = () => over || events.open();
      socket.onmessage = ({ data }: MessageEvent<unknown>) => {
        if (!over && typeof data === "string") events.frame(data);
      };
      socket.onclose = ({ code, reason }) => {
        if (!over) {
          over = true;
          events.close(code, reason);
        }
      };
      return {
        send: (text) => {
          socket.send(text);
        },
        close: () => {
          over = true;
          socket.close(1000);
        },
      };
    },
  };
}

/** The address of the WebSocket that belongs to a server's address. */
export function socketUrl(server: string): string {
  const url = new URL(server);
  url.protocol = url.protocol.replace("http", "ws");
  if (url.pathname === "/") url.pathname = "/ws";
  url.hash = "";
  return url.href;
}
