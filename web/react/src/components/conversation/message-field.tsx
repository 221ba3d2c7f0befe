/** The field where messages are typed: Enter sends, unless an input method has it. */

import { type KeyboardEvent, type RefObject, useEffect, useRef } from "react";
import { pastedFiles } from "../files/pasted.js";
import { words } from "../words.js";

export function MessageField({
  field,
  value,
  onChange,
  onSubmit,
  onEscape,
  onLeave,
  onFiles,
}: {
  field: RefObject<HTMLTextAreaElement | null>;
  value: string;
  onChange: (text: string) => void;
  onSubmit: () => void;
  /** Null: Esc is for what is around. */
  onEscape: (() => void) | null;
  onLeave: () => void;
  /** Null: none can be attached. */
  onFiles: ((files: readonly File[]) => void) | null;
}) {
  const composing = useRef(false);
  useGrowing(field, value);
  const pressed = (event: KeyboardEvent) => {
    // While an input method composes, Enter is its own; Safari says so by the key code only.
    if (composing.current || event.nativeEvent.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      if (!event.repeat) onSubmit(); // held a little too long it would save an edit, and then send the draft behind it
    } else if (event.key === "Escape" && onEscape) {
      event.stopPropagation();
      onEscape();
    }
  };
  return (
    <textarea
      ref={field}
      data-composer=""
      aria-label={words.message}
      placeholder={words.message}
      value={value}
      rows={1}
      dir="auto"
      autoComplete="off"
      enterKeyHint="send"
      onChange={(event) => {
        onChange(event.target.value);
      }}
      onBlur={onLeave}
      onCompositionStart={() => {
        composing.current = true;
      }}
      onCompositionEnd={() => {
        composing.current = false;
      }}
      onKeyDown={pressed}
      onPaste={(event) => {
        const files = onFiles ? pastedFiles(event.clipboardData, Date.now()) : [];
        if (files.length === 0) return;
        event.preventDefault();
        onFiles?.(files);
      }}
    />
  );
}

/** Makes the field as high as its text, where the style sheet can't say so. */
function useGrowing(field: RefObject<HTMLTextAreaElement | null>, value: string): void {
  useEffect(() => {
    if (!field.current || CSS.supports("field-sizing", "content")) return;
    field.current.style.height = "auto";
    field.current.style.height = `${field.current.scrollHeight}px`;
  }, [field, value]);
}
