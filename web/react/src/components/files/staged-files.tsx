/** Files that are to be sent, with what has become of them so far. */

import { useEffect, useId, useState } from "react";
import type { StagedFile } from "@chatd/client";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";
import type { Attaching } from "./attaching.js";
import { isPicture } from "./kinds.js";
import { sizeOf } from "./size.js";

/** Beside the draft: each can be taken away. */
export function StagedFiles({
  attaching: { staged, refused, remove, dismiss },
  onLess,
}: {
  attaching: Attaching;
  /** One was taken away. */
  onLess: () => void;
}) {
  if (staged.length + refused.length === 0) return null;
  return (
    <ul className="staged" aria-label={words.attachedFiles}>
      {staged.map((file) => (
        <StagedRow
          key={file.key}
          file={file}
          onRemove={() => {
            remove(file.key);
            onLess();
          }}
        />
      ))}
      {refused.map(({ key, name, why }) => (
        <li key={key} className="staged-file failed">
          <span className="staged-picture">
            <Icon name="file" />
          </span>
          <div className="staged-text" role="alert">
            <bdi className="staged-name">{name}</bdi> <span className="staged-state">{why}</span>
          </div>
          <RemoveButton
            label={words.dismiss}
            onPress={() => {
              dismiss(key);
              onLess();
            }}
          />
        </li>
      ))}
    </ul>
  );
}

function StagedRow({ file, onRemove }: { file: StagedFile; onRemove: () => void }) {
  const name = useId();
  return (
    <li className={`staged-file ${file.state}`}>
      <Preview file={file} />
      <FileState id={name} file={file} />
      <RemoveButton label={words.removeAttachment} describedBy={name} onPress={onRemove} />
    </li>
  );
}

function RemoveButton({ label, describedBy, onPress }: { label: string; describedBy?: string; onPress: () => void }) {
  return (
    <button
      type="button"
      className="icon-button"
      aria-label={label}
      aria-describedby={describedBy}
      title={label}
      onClick={onPress}
    >
      <Icon name="close" size={18} />
    </button>
  );
}

/** Files of a message on its way. */
export function WaitingFiles({ files }: { files: readonly StagedFile[] }) {
  if (files.length === 0) return null;
  return (
    <ul className="staged">
      {files.map((file) => (
        <li key={file.key} className={`staged-file ${file.state}`}>
          <Preview file={file} />
          <FileState file={file} />
        </li>
      ))}
    </ul>
  );
}

function FileState({ id, file }: { id?: string; file: StagedFile }) {
  const { name, size, state, sent } = file;
  const share = size > 0 ? Math.floor((100 * sent) / size) : 0;
  return (
    <div className="staged-text" role={state === "failed" ? "alert" : undefined}>
      <bdi id={id} className="staged-name">
        {name}
      </bdi>{" "}
      <span className="staged-state">{stateText(file, share)}</span>
      {state === "uploading" && <progress aria-label={words.uploadOf(name)} max={100} value={share} />}
    </div>
  );
}

function stateText({ state, size, error }: StagedFile, share: number): string {
  if (state === "uploading") return words.uploading(share, sizeOf(size));
  if (state === "waiting") return words.uploadWaits(sizeOf(size));
  if (state === "ready") return sizeOf(size);
  return error?.code === "too_large" ? words.tooLargeHere : words.fileRefused;
}

/** The picture itself, where it is one that the browser can show. */
function Preview({ file: { blob, type, name } }: { file: StagedFile }) {
  const [url, setUrl] = useState<string | null>(null);
  const [broken, setBroken] = useState(false);
  const picture = isPicture(type);
  useEffect(() => {
    if (!picture) return;
    const made = URL.createObjectURL(blob);
    setUrl(made);
    return () => {
      URL.revokeObjectURL(made);
    };
  }, [blob, picture]);
  return (
    <span className="staged-picture">
      {picture && url !== null && !broken ? (
        <img
          src={url}
          alt={name}
          onError={() => {
            setBroken(true);
          }}
        />
      ) : (
        <Icon name="file" />
      )}
    </span>
  );
}
