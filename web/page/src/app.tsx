/** From an address to a conversation: what the server offers, who is signed in, or how to sign in. */

import { useCallback, useEffect, useState } from "react";
import { createEditingClient, type EditingClient, type SessionEnd } from "@chatd/client";
import { words } from "@chatd/react/components";
import { type Development, developmentAddress, developmentUser, takeInvitation, takeSignInProblem } from "./address.js";
import { getMe, getOffer, type Offer, Unreachable } from "./http.js";
import { leaveNothing, wasSignedOut } from "./leaving.js";
import { signedInAnew } from "./lock/pin.js";
import { Signed } from "./signed.js";
import { SignInPage } from "./signin/sign-in-page.js";

const RETRY_MS = 2_000;

type Stage =
  | { readonly at: "asking"; readonly failed: boolean }
  | { readonly at: "sign-in"; readonly offer: Offer; readonly notice: string | null }
  /** Signed out: soon a new document, as soon as there is a server to ask for it. */
  | { readonly at: "left" }
  | { readonly at: "signed"; readonly offer: Offer; readonly client: EditingClient };

const invitation = takeInvitation();
const problem = takeSignInProblem();

export function App() {
  const [stage, setStage] = useState<Stage>({ at: "asking", failed: false });
  const [round, setRound] = useState(0);

  useEffect(() => {
    let over = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    begin().then(
      (next) => {
        if (!over) setStage(next);
      },
      (error: unknown) => {
        if (over || !(error instanceof Unreachable)) throw error;
        setStage({ at: "asking", failed: true });
        timer = setTimeout(() => {
          setRound(round + 1);
        }, RETRY_MS);
      },
    );
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [round]);

  useEffect(() => {
    if (stage.at === "asking" || stage.at === "left") return;
    const { offer } = stage;
    document.title = offer.name || "Chat";
    document.documentElement.dir = "ltr";
    document.documentElement.lang = "en"; // the only catalogue so far
  }, [stage]);

  const ended = useCallback((end: SessionEnd, offer: Offer) => {
    if (end.cause === "signed-out") {
      setStage({ at: "left" });
      leaveNothing();
    } else setStage({ at: "sign-in", offer, notice: noticeOf(end) });
  }, []);

  if (stage.at === "left") return <Left />;
  if (stage.at === "asking") return <Asking failed={stage.failed} />;
  if (stage.at === "sign-in") {
    return (
      <SignInPage
        offer={stage.offer}
        invitation={invitation}
        notice={stage.notice}
        onSignedIn={(development) => {
          signedInAnew();
          if (development) history.replaceState(null, "", developmentAddress(development));
          setStage({ at: "signed", offer: stage.offer, client: clientFor(development) });
        }}
      />
    );
  }
  return <Signed client={stage.client} offer={stage.offer} onEnded={ended} />;
}

async function begin(): Promise<Stage> {
  const offer = await getOffer();
  const development = offer.development ? developmentUser() : null;
  const fresh = !invitation && !wasSignedOut();
  if (development && fresh) return { at: "signed", offer, client: clientFor(development) };
  const me = invitation || offer.development ? null : await getMe();
  if (me && fresh) return { at: "signed", offer, client: clientFor(null) };
  return { at: "sign-in", offer, notice: problem && words.notSignedInElsewhere(problem) };
}

function clientFor(development: Development | null): EditingClient {
  return createEditingClient({
    device: "web",
    signIn: development ? { kind: "development", ...development } : { kind: "cookie" },
  });
}

function noticeOf({ cause }: SessionEnd): string {
  return cause === "incompatible" ? words.incompatible : words.sessionEnded;
}

function Left() {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const leave = () => {
      getOffer().then(
        () => {
          location.replace("/");
        },
        () => {
          timer = setTimeout(leave, RETRY_MS);
        },
      );
    };
    leave();
    return () => {
      clearTimeout(timer);
    };
  }, []);
  return (
    <main className="centred">
      <h1>{words.signedOut}</h1>
    </main>
  );
}

function Asking({ failed }: { failed: boolean }) {
  return (
    <main className="centred">
      <p role="status">{failed ? words.retrying : ""}</p>
    </main>
  );
}
