import type { Attachment } from "@chatd/client";

/** Files of a message, by name; each opens in a tab of its own. */
export function Attachments({ attachments }: { attachments: readonly Attachment[] }) {
  return (
    <ul className="attachments">
      {attachments.map(({ id, name, size, url }) => (
        <li key={id}>
          <a href={url.startsWith("/") ? url : undefined} target="_blank" rel="noopener">
            <bdi>{name}</bdi> <span className="quiet">{sizeOf(size)}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}

/** "34 MB", "1.2 MB", "830 kB" */
export function sizeOf(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1_000)} kB`;
  const mega = bytes / 1_000_000;
  return `${mega < 10 ? mega.toFixed(1) : Math.round(mega)} MB`;
}
