import { useRef } from "react";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";
import { ACCEPT } from "./acceptable.js";

/** Buttons that bring files: from the device, and on phones from its camera. */
export function AttachButtons({ onFiles }: { onFiles: (files: readonly File[]) => void }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        hidden
        multiple
        accept={ACCEPT}
        onChange={(event) => {
          onFiles([...(event.target.files ?? [])]);
          event.target.value = ""; // the same file again is a change again
        }}
      />
      <button
        type="button"
        className="icon-button attach"
        aria-label={words.attachFiles}
        title={words.attachFiles}
        onClick={() => {
          input.current?.click();
        }}
      >
        <Icon name="attach" />
      </button>
      <button
        type="button"
        className="icon-button attach camera"
        aria-label={words.takePhoto}
        title={words.takePhoto}
        onClick={() => {
          takePhoto(onFiles);
        }}
      >
        <Icon name="camera" />
      </button>
    </>
  );
}

function takePhoto(onFiles: (files: readonly File[]) => void): void {
  const camera = document.createElement("input");
  Object.assign(camera, { type: "file", accept: "image/jpeg,image/png,image/webp", capture: "environment" });
  camera.addEventListener("change", () => {
    onFiles([...(camera.files ?? [])]);
  });
  camera.click();
}
