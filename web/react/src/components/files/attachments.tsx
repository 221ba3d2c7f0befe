/** Files of a message: pictures, players, and cards for all that a browser doesn't show. */

import { memo, useState } from "react";
import type { Attachment } from "@chatd/client";
import { Card } from "./card.js";
import { cannotPlay, kindOf } from "./kinds.js";
import { Lightbox } from "./lightbox.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";

export function Attachments({
  attachments,
  focusable,
}: {
  attachments: readonly Attachment[];
  /** The message is the tab stop of the history, and so are its files. */
  focusable: boolean;
}) {
  const [shown, setShown] = useState<string | null>(null);
  const pictures = attachments.filter((file) => kindOf(file) === "picture");
  const at = pictures.findIndex(({ id }) => id === shown);
  return (
    <ul className="attachments">
      {attachments.map((file) => (
        <li key={file.id}>
          <Shown file={file} tab={focusable ? 0 : -1} onPress={setShown} />
        </li>
      ))}
      {at >= 0 && (
        <Lightbox
          pictures={pictures}
          at={at}
          onMove={(to) => {
            setShown(pictures[to]?.id ?? null);
          }}
          onClose={() => {
            setShown(null);
          }}
        />
      )}
    </ul>
  );
}

/** A file never changes: what plays goes on, whatever becomes of the message around it. */
const Shown = memo(
  function Shown({ file, tab, onPress }: { file: Attachment; tab: 0 | -1; onPress: (id: string) => void }) {
    const [failed, setFailed] = useState(false);
    const kind = kindOf(file);
    const fail = () => {
      setFailed(true);
    };
    if (failed) return <Card file={file} kind={kind} tab={tab} />;
    if (kind === "picture") return <Picture file={file} tab={tab} onPress={onPress} onFail={fail} />;
    if ((kind === "video" || kind === "audio") && !cannotPlay(kind, file.type)) {
      return <Player file={file} kind={kind} tab={tab} onFail={fail} />;
    }
    return <Card file={file} kind={kind} tab={tab} />;
  },
  (before, after) => before.file.id === after.file.id && before.tab === after.tab,
);
