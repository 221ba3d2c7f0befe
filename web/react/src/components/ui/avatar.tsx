/** A person's picture or initials, with a dot while they are online. */

import { useState } from "react";

const HUES = 8;

export function Avatar({ id, name, url, online }: { id: string; name: string; url?: string | null; online?: boolean }) {
  const [broken, setBroken] = useState<string | null>(null);
  return (
    <span className={`avatar hue-${hueOf(id)}`} aria-hidden="true">
      {url && url !== broken ? (
        <img
          src={url}
          alt=""
          onError={() => {
            setBroken(url);
          }}
        />
      ) : (
        initialsOf(name)
      )}
      {online && <span className="avatar-dot" />}
    </span>
  );
}

/** Returns initials: "MA" of "Dr. Maria van Ay"; titles don't count. */
export function initialsOf(name: string): string {
  const parts = name
    .split(/\s+/)
    .filter((part) => /^[\p{L}\p{N}]/u.test(part) && !/^(dr|prof|mr|mrs|ms|med|dent)\.?$/iu.test(part));
  const chosen = parts.length > 1 ? [parts[0], parts.at(-1)] : parts;
  return chosen.map((part) => [...(part ?? "")][0]?.toUpperCase() ?? "").join("") || "?";
}

function hueOf(id: string): number {
  let sum = 0;
  for (const char of id) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 65_521;
  return sum % HUES;
}
