/** A picture as large as the window. */

import type { Attachment } from "@chatd/client";
import { Dialog } from "../ui/dialog.js";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";
import { useFileUrl } from "./file-url.js";

export function Lightbox({
  pictures,
  at,
  onMove,
  onClose,
}: {
  pictures: readonly Attachment[];
  at: number;
  onMove: (to: number) => void;
  onClose: () => void;
}) {
  const file = pictures[at];
  if (!file) return null;
  const several = pictures.length > 1;
  const move = (by: number) => {
    onMove((at + by + pictures.length) % pictures.length);
  };
  return (
    <Dialog title={file.name} className="lightbox" onClose={onClose} onArrow={several ? move : undefined}>
      <Large key={file.id} file={file} />
      <div className="dialog-buttons">
        {several && (
          <>
            <button
              type="button"
              className="button"
              onClick={() => {
                move(-1);
              }}
            >
              {words.previous}
            </button>
            <button
              type="button"
              className="button"
              onClick={() => {
                move(1);
              }}
            >
              {words.next}
            </button>
          </>
        )}
        <Download file={file} />
        <button type="button" className="button primary" autoFocus onClick={onClose}>
          <Icon name="close" size={18} />
          {words.close}
        </button>
      </div>
    </Dialog>
  );
}

function Large({ file }: { file: Attachment }) {
  const url = useFileUrl(file, "whole");
  const { name, width, height } = file;
  return <img src={url ?? undefined} alt={name} {...(width && height ? { width, height } : {})} />;
}

function Download({ file }: { file: Attachment }) {
  const url = useFileUrl(file, "whole", { renewed: true });
  return (
    <a className="button" href={url ?? undefined} download={file.name}>
      {words.download}
    </a>
  );
}
