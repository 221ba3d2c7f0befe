// @vitest-environment happy-dom
import { act, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { beforeEach, expect, it, vi } from "vitest";
import { createEditingClient, type Transport } from "@chatd/client";
import type { Offer } from "../src/http.js";
import { Signed } from "../src/signed.js";

const OFFER: Offer = { development: true, methods: [], providers: [], name: "Clinic" };

beforeEach(() => {
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
});

/** Counts the connections that are open. */
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
  return { counts, transport: { connect } };
}

const client = (transport: Transport) =>
  createEditingClient({ url: "http://chat.test", transport, signIn: { kind: "development", user: "pat-1" } });

const settled = () =>
  act(async () => {
    await new Promise((resolve) => setTimeout(resolve, 20));
  });

it("has one socket while mounted in StrictMode, and none after 100 mounts and unmounts", async () => {
  const { counts, transport } = counting();
  const same = client(transport);
  const added = vi.spyOn(window, "addEventListener");
  const removed = vi.spyOn(window, "removeEventListener");
  for (let n = 0; n < 100; n += 1) {
    const root = createRoot(document.body.appendChild(document.createElement("div")));
    act(() => {
      root.render(
        <StrictMode>
          <Signed client={same} offer={OFFER} onEnded={() => undefined} />
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
  expect(counts.opened).toBe(5);
  const left = (type: string) =>
    added.mock.calls.filter(([name, , options]) => name === type && !isAborted(options)).length -
    removed.mock.calls.filter(([name]) => name === type).length;
  for (const type of ["popstate", "resize", "focus", "blur", "pagehide"]) expect([type, left(type)]).toEqual([type, 0]);
});

function isAborted(options: unknown): boolean {
  return typeof options === "object" && (options as AddEventListenerOptions | null)?.signal?.aborted === true;
}
