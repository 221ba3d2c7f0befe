"use client";

import { signIn } from "next-auth/react";
import { type SubmitEvent, useState } from "react";

export default function SignIn() {
  const [failed, setFailed] = useState(false);
  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(event.currentTarget)) as Record<string, string>;
    const done = await signIn("credentials", { ...fields, redirect: false });
    if (done?.ok) location.assign(new URLSearchParams(location.search).has("chat") ? "/chat" : "/");
    else setFailed(true);
  };
  return (
    <main>
      <h1>Sign in</h1>
      <form onSubmit={(event) => void submit(event)}>
        <label>
          Email <input name="email" type="email" autoComplete="username" required />
        </label>{" "}
        <label>
          Password <input name="password" type="password" autoComplete="current-password" required />
        </label>{" "}
        <button type="submit">Sign in</button>
        {failed && <p role="alert">That was not right.</p>}
      </form>
    </main>
  );
}
