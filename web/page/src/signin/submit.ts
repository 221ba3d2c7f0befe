import { type FormEvent, useState } from "react";
import { words } from "@chatd/react/components";
import { type Refusal, Unreachable } from "../http.js";

export interface Submit {
  readonly busy: boolean;
  readonly problem: string | null;
  readonly onSubmit: (event: FormEvent<HTMLFormElement>) => void;
}

/** A form that asks the server: busy meanwhile, then done, or with words for what was refused. */
export function useSubmit(
  ask: (form: FormData) => Promise<Refusal | null>,
  refused: (refusal: Refusal) => string | null,
  done: () => void,
): Submit {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const submit = async (form: FormData) => {
    setBusy(true);
    setProblem(null);
    try {
      const refusal = await ask(form);
      if (refusal === null) done();
      else if (refusal.status === 429) setProblem(words.tooOften(refusal.retryAfterS));
      else setProblem(refused(refusal));
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      setProblem(words.unreachable);
    } finally {
      setBusy(false);
    }
  };
  return {
    busy,
    problem,
    onSubmit: (event) => {
      event.preventDefault();
      if (!busy) void submit(new FormData(event.currentTarget));
    },
  };
}

export function text(form: FormData, field: string): string {
  const value = form.get(field);
  return typeof value === "string" ? value : "";
}
