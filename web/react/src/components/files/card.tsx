import type { Attachment } from "@chatd/client";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";
import { useFileUrl } from "./file-url.js";
import type { Kind } from "./kinds.js";
import { sizeOf } from "./size.js";

/** A file by its name and size; a PDF or a text opens in a tab of its own. */
export function Card({ file, kind, tab }: { file: Attachment; kind: Kind; tab: 0 | -1 }) {
  const { name, size } = file;
  const url = useFileUrl(file, "whole", { renewed: true }) ?? undefined;
  const opens = kind === "pdf" || kind === "text";
  return (
    <div className="card">
      <Icon name="file" size={28} />
      <div className="card-text">
        {opens ? (
          <a href={url} target="_blank" rel="noopener" className="card-name" tabIndex={tab}>
            <bdi>{name}</bdi>
          </a>
        ) : (
          <bdi className="card-name">{name}</bdi>
        )}{" "}
        <span className="quiet">{sizeOf(size)}</span>{" "}
        <a href={url} download={name} className="card-download" tabIndex={tab} aria-label={words.downloadOf(name)}>
          {words.download}
        </a>
      </div>
    </div>
  );
}
