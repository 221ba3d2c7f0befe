/** A native modal dialog: the browser keeps the focus inside, and gives it back. */

import { type ReactNode, useEffect, useId, useRef } from "react";
import { focusedIn, placeOf } from "./focus.js";

export function Dialog({
  title,
  role = "dialog",
  className = "",
  onClose,
  onArrow,
  children,
}: {
  title: string;
  role?: "dialog" | "alertdialog";
  className?: string;
  onClose: () => void;
  /** Left (-1) or right (1) was pressed. */
  onArrow?: ((by: -1 | 1) => void) | undefined;
  children: ReactNode;
}) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = element.current;
    if (!dialog) return;
    const place = placeOf(dialog);
    const before = focusedIn(place);
    dialog.showModal();
    return () => {
      dialog.close();
      // If what had the focus is gone, the composer takes it: the focus is never lost.
      if (before instanceof HTMLElement && before.isConnected && before !== document.body) before.focus();
      else place.querySelector<HTMLElement>("[data-composer]")?.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      role={role}
      className={`dialog ${className}`}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === element.current) onClose();
      }}
      onKeyDown={(event) => {
        event.stopPropagation(); // what is behind it hears nothing
        if (event.key === "ArrowLeft") onArrow?.(-1);
        if (event.key === "ArrowRight") onArrow?.(1);
      }}
    >
      <div className="dialog-body">
        <h2 id={heading}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}
