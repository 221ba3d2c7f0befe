import { useState } from "react";
import type { Attachment } from "@chatd/client";
import { words } from "../words.js";
import { useFileUrl } from "./file-url.js";
import { boxOf } from "./kinds.js";

const MAX_EDGE_PX = 320;
/** After which a failure may mean that the address has grown too old. */
const LINK_AGE_MS = 280_000;
const UNKNOWN = { width: 320, height: 180 };

/** The browser's own player; nothing plays by itself, and what this browser can't decode says so. */
export function Player({
  file,
  kind,
  tab,
  onFail,
}: {
  file: Attachment;
  kind: "video" | "audio";
  tab: 0 | -1;
  onFail: () => void;
}) {
  const [round, setRound] = useState(0);
  const [began] = useState(() => Date.now());
  const url = useFileUrl(file, "whole", { round });
  const failed = () => {
    if (round === 0 && Date.now() - began > LINK_AGE_MS) setRound(1);
    else onFail();
  };
  const common = {
    src: url ?? undefined,
    controls: true,
    tabIndex: tab,
    preload: "metadata",
    "aria-label": words.playOf(file.name),
    onError: failed,
  };
  if (kind === "audio") return <audio className="player" {...common} />;
  return (
    <video
      className="player"
      playsInline
      {...common}
      {...(boxOf(file, MAX_EDGE_PX) ?? UNKNOWN)}
      onLoadedMetadata={({ currentTarget }) => {
        if (currentTarget.videoWidth === 0) onFail(); // it has sound only: its pictures can't be decoded here
      }}
    />
  );
}
