/** A line that says something in passing, and goes by itself. */

import { useEffect, useState } from "react";

const SHOWN_MS = 6_000;

export function Passing({ said }: { said: { readonly text: string } | null }) {
  const [over, setOver] = useState<object | null>(null);
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => {
      setOver(said);
    }, SHOWN_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [said]);
  const shown = said && said !== over;
  return (
    <div className="passing" role="alert">
      {shown && <p>{said.text}</p>}
    </div>
  );
}
