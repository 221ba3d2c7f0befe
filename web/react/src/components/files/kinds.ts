/** Kinds of files, by what a browser does with them. */

import type { Attachment } from "@chatd/client";

export type Kind = "picture" | "video" | "audio" | "pdf" | "text" | "other";

const PICTURES = new Set(["image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"]);

export const isPicture = (type: string) => PICTURES.has(type);

export function kindOf({ type }: Pick<Attachment, "type">): Kind {
  if (isPicture(type)) return "picture";
  if (type.startsWith("video/")) return "video";
  if (type.startsWith("audio/")) return "audio";
  if (type === "application/pdf") return "pdf";
  return type === "text/plain" ? "text" : "other";
}

/** Returns true if this browser can't play a type. QuickTime is mostly MP4 by another name: that is seen by trying. */
export function cannotPlay(kind: "video" | "audio", type: string): boolean {
  if (type === "video/quicktime") return false;
  return document.createElement(kind).canPlayType(type) === "";
}

/** The box of a picture or video, known before it is loaded: as large as fits, never larger than it is. */
export function boxOf(
  file: Pick<Attachment, "width" | "height">,
  most: number,
): { width: number; height: number } | null {
  const { width, height } = file;
  if (!width || !height) return null;
  const scale = Math.min(1, most / width, most / height);
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}
