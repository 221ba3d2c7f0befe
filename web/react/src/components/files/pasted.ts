/** Files on the clipboard. */

import { words } from "../words.js";

/** The name that browsers give a picture that has none. */
const NAMELESS = /^(image|blob|unknown)?(\.(png|jpe?g|bmp|tiff?|webp|gif))?$/i;

/**
 * The files that a paste attaches; none where its text is what was meant: Word and Excel put a picture of the text
 * beside it. A picture without a name gets one, of the time `now` (ms).
 */
export function pastedFiles(data: Pick<DataTransfer, "files" | "getData">, now: number): File[] {
  const files = [...data.files];
  const text = data.getData("text/plain").trim();
  const nameless = files.every(({ name }) => NAMELESS.test(name));
  // File managers put the names beside the files.
  const names = files.every(({ name }) => text.includes(name));
  if (text !== "" && (nameless || !names)) return [];
  return files.map((file) => (NAMELESS.test(file.name) ? named(file, now) : file));
}

function named(file: File, now: number): File {
  const at = new Date(now);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}.${two(at.getMinutes())}.${two(at.getSeconds())}`;
  const ending = file.type.replace(/^image\/(x-)?/, "").replace("jpeg", "jpg") || "png";
  return new File([file], `${words.pastedPicture} ${day} ${time}.${ending}`, { type: file.type });
}
