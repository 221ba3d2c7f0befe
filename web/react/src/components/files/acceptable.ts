/** Checks of a file before a byte of it is sent. The server looks at the content and has the last word. */

import { words } from "../words.js";
import { sizeOf } from "./size.js";

/** Without HEIC among them, phones make a JPEG of their pictures by themselves. */
export const ACCEPT = [
  "image/jpeg,image/png,image/webp,image/gif,image/avif",
  "video/mp4,video/quicktime,audio/mp4,audio/ogg,audio/webm",
  "application/pdf,text/plain",
  ".jpg,.jpeg,.png,.webp,.gif,.avif,.heic,.heif,.mp4,.m4v,.mov,.m4a,.ogg,.opus,.webm,.pdf,.txt,.csv,.dcm,.docx,.zip",
].join(",");

const ENDINGS = new Set(
  "jpg jpeg jpe jfif png webp gif avif heic heif mp4 m4v mov qt m4a m4b ogg oga opus webm weba pdf txt text md csv log dcm dicom docx zip".split(
    " ",
  ),
);

export interface Limits {
  readonly bytes: number;
  readonly files: number;
}

/** Why a file can't be attached; null: it can, as far as can be seen from here. `staged`: how many there are already. */
export function refusalOf(file: Pick<File, "name" | "size">, staged: number, limits: Limits): string | null {
  if (staged >= limits.files) return words.tooManyFiles(limits.files);
  const [, ending] = /\.([^.\s]{1,10})$/.exec(file.name.toLowerCase()) ?? [];
  // Without an ending it may be an X-ray.
  if (ending !== undefined && !ENDINGS.has(ending)) return words.wrongKind(`.${ending}`);
  if (file.size === 0) return words.emptyFile;
  if (file.size > limits.bytes) return words.tooLarge(sizeOf(file.size), sizeOf(limits.bytes));
  return null;
}
