// @vitest-environment happy-dom
import { act, StrictMode, useState, version } from "react";
import { version as domVersion } from "react-dom";
import { createRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Transport } from "@chatd/client";
import { ChatInterface, ChatProvider, useSocket, type UseSocket } from "../src/index.js";

const ROUNDS = 100;
const URL = "http://chat.test";
const USER = { user: "pat-1" };

beforeEach(() => {
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
});

/** Connections that answer nothing, counted. */
function counting() {
  const counts = { opened: 0, open: 0 };
  const connect: Transport["connect"] = () => {
    counts.opened += 1;
    counts.open += 1;
    let closed = false;
    return {
      send: () => undefined,
      close: () => {
        if (!closed) counts.open -= 1;
        closed = true;
      },
    };
  };
  return { counts, options: { transport: { connect } } };
}

const settled = () =>
  act(async () => {
    await new Promise((resolve) => setTimeout(resolve, 20));
  });

const mounted = (): Root => createRoot(document.body.appendChild(document.createElement("div")));

/** A page that uses the hook; what it returned last, and how to select. */
async function using(first: string | null = null) {
  let chat: UseSocket | null = null;
  let select: (id: string | null) => void = () => undefined;
  const Page = () => {
    const [selected, setSelected] = useState(first);
    select = setSelected;
    chat = useSocket({ conversation: selected });
    return null;
  };
  const { options } = counting();
  const root = mounted();
  act(() => {
    root.render(
      <ChatProvider url={URL} developmentUser={USER} options={options}>
        <Page />
      </ChatProvider>,
    );
  });
  await settled();
  return {
    now: () => chat as unknown as UseSocket,
    select: (id: string | null) => {
      act(() => {
        select(id);
      });
    },
    end: async () => {
      act(() => {
        root.unmount();
      });
      await settled();
    },
  };
}

it("runs on the React that is meant", () => {
  const major = (import.meta.env.REACT_MAJOR as string | undefined) ?? "19";
  expect([version, domVersion].map((text) => text.split(".")[0])).toEqual([major, major]);
});

describe("ChatProvider", () => {
  it("has one connection under StrictMode for many components, and none after 100 mounts and unmounts", async () => {
    const { counts, options } = counting();
    const Page = () => {
      useSocket();
      return null;
    };
    const added = vi.spyOn(window, "addEventListener");
    const removed = vi.spyOn(window, "removeEventListener");
    for (let n = 0; n < ROUNDS; n += 1) {
      const root = mounted();
      act(() => {
        root.render(
          <StrictMode>
            <ChatProvider url={URL} developmentUser={USER} options={options}>
              <Page />
              <Page />
            </ChatProvider>
          </StrictMode>,
        );
      });
      if (n % 20 === 0) {
        await settled();
        expect(counts.open).toBe(1);
      }
      act(() => {
        root.unmount();
      });
    }
    await settled();
    expect(counts.open).toBe(0);
    expect(counts.opened).toBe(ROUNDS / 20);
    const counted = (calls: readonly (readonly unknown[])[], type: string) =>
      calls.filter(([name, , given]) => name === type && !(given as AddEventListenerOptions | undefined)?.signal)
        .length;
    for (const type of ["focus", "blur", "pagehide", "online"]) {
      expect([type, counted(added.mock.calls, type)]).toEqual([type, counted(removed.mock.calls, type)]);
    }
  });

  it("has one connection after a changed address, identity or function for tokens", async () => {
    const { counts, options } = counting();
    const root = mounted();
    const show = async (url: string, identity: string) => {
      act(() => {
        root.render(
          <ChatProvider url={url} identity={identity} getToken={() => Promise.resolve("t")} options={options} />,
        );
      });
      await settled();
    };
    await show("http://a.test", "pat-1");
    await show("http://a.test", "pat-1"); // a new function each time
    expect(counts).toEqual({ opened: 1, open: 1 });
    await show("http://b.test", "pat-1");
    expect(counts).toEqual({ opened: 2, open: 1 });
    await show("http://b.test", "pat-2");
    expect(counts).toEqual({ opened: 3, open: 1 });
    act(() => {
      root.unmount();
    });
    await settled();
    expect(counts.open).toBe(0);
  });

  it("does nothing while it renders on a server", async () => {
    const { counts, options } = counting();
    const timers = vi.spyOn(globalThis, "setTimeout");
    const Page = () => <p>{useSocket({ conversation: "c-1" }).isConnected ? "online" : "offline"}</p>;
    const text = renderToString(
      <ChatProvider url={URL} developmentUser={USER} options={options}>
        <Page />
        <ChatInterface />
      </ChatProvider>,
    );
    expect(text).toBe('<p>offline</p><div class="chatd"></div>');
    expect(timers).not.toHaveBeenCalled();
    timers.mockRestore();
    await settled();
    expect(counts.opened).toBe(0);
  });
});

describe("useSocket", () => {
  it("joins what is selected, and leaves it when another is", async () => {
    const page = await using("c-1");
    const { socket } = page.now();
    const focus = vi.spyOn(Object.getPrototypeOf(socket) as UseSocket["socket"], "setFocus");
    page.select("c-2");
    expect(focus.mock.calls).toEqual([[null], ["c-2"]]);
    expect(page.now().conversationId).toBe("c-2");
    expect(page.now().socket).toBe(socket); // the same object while the client is
    page.select(null);
    expect(focus.mock.calls.at(-1)).toEqual([null]);
    act(() => {
      page.now().joinConversation("c-3");
    });
    expect(page.now().conversationId).toBe("c-3");
    act(() => {
      page.now().leaveConversation("c-3");
    });
    expect(page.now().conversationId).toBeNull();
    await page.end();
  });

  it("keeps what is sent while offline, in the conversation that is joined", async () => {
    const page = await using("c-1");
    act(() => {
      page.now().sendMessage("It hurts");
    });
    await settled();
    expect(page.now().waiting.map(({ conversation, body }) => [conversation, body])).toEqual([["c-1", "It hurts"]]);
    page.select("c-2");
    expect(page.now().waiting).toEqual([]);
    page.select(null);
    expect(() => page.now().sendMessage("to whom?")).toThrow("no conversation is joined");
    await page.end();
  });

  it("tells listeners of its socket, until they are taken off", async () => {
    const page = await using();
    const { socket } = page.now();
    const { engine } = Object.getPrototypeOf(socket) as { engine: { events: Set<(event: unknown) => void> } };
    const before = engine.events.size;
    const heard: unknown[] = [];
    const listen = (event: unknown) => heard.push(event);
    const tell = (active: boolean) => {
      for (const told of engine.events) told({ type: "typing", conversation: "c-1", user: "den-1", active });
    };
    socket.on("typing", listen);
    tell(true);
    socket.off("typing", listen);
    tell(false);
    expect(heard).toEqual([{ type: "typing", conversation: "c-1", user: "den-1", active: true }]);
    expect(engine.events.size).toBe(before); // nothing is watched for nobody
    expect([socket.connected, socket.id]).toEqual([false, undefined]);
    await page.end();
  });

  it("says what is missing without a provider", () => {
    const Page = () => <p>{String(useSocket().isConnected)}</p>;
    expect(() => renderToString(<Page />)).toThrow("need a <ChatProvider>");
  });
});
