import type { Attachment } from "@chatd/client";
import { words } from "../words.js";
import { useFileUrl } from "./file-url.js";
import { boxOf } from "./kinds.js";

const MAX_EDGE_PX = 320;
/** Size of a picture where the server knows none. */
const UNKNOWN = { width: 240, height: 180 };

/** A small picture in a box that is there before it; a press shows it large. */
export function Picture({
  file,
  tab,
  onPress,
  onFail,
}: {
  file: Attachment;
  tab: 0 | -1;
  onPress: (id: string) => void;
  onFail: () => void;
}) {
  const { id, name } = file;
  const url = useFileUrl(file, "thumbnail");
  const box = boxOf(file, MAX_EDGE_PX) ?? UNKNOWN;
  return (
    <button
      type="button"
      className="picture"
      tabIndex={tab}
      aria-label={words.showPicture(name)}
      onClick={() => {
        onPress(id);
      }}
    >
      <img src={url ?? undefined} alt="" {...box} decoding="async" draggable={false} onError={onFail} />
    </button>
  );
}
