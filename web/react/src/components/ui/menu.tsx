/** A menu beside what opened it: a native popover, so that Esc and a press elsewhere close it. */

import { type KeyboardEvent, type ReactNode, useEffect, useLayoutEffect, useRef } from "react";
import { focusedIn, nothingFocused, placeOf } from "./focus.js";

const GAP_PX = 4;

export function Menu({
  label,
  trigger,
  onClose,
  children,
}: {
  label: string;
  trigger: HTMLElement;
  onClose: () => void;
  children: ReactNode;
}) {
  const element = useRef<HTMLDivElement>(null);
  const closed = useRef(onClose);
  useEffect(() => {
    closed.current = onClose;
  });

  useLayoutEffect(() => {
    const menu = element.current;
    if (!menu) return;
    const around = placeOf(menu);
    menu.showPopover();
    place(menu, trigger.getBoundingClientRect());
    itemsOf(menu)[0]?.focus();
    const toggled = (event: Event) => {
      if ((event as ToggleEvent).newState === "closed") closed.current();
    };
    const scrolled = (event: Event) => {
      if (!menu.contains(event.target as Node)) closed.current();
    };
    // A press of the trigger closes: the browser has hidden the popover by then, and the trigger would open it again.
    const pressed = (event: Event) => {
      event.stopPropagation();
      closed.current();
    };
    trigger.setAttribute("aria-expanded", "true");
    trigger.addEventListener("click", pressed);
    menu.addEventListener("toggle", toggled);
    window.addEventListener("resize", scrolled);
    return () => {
      trigger.removeAttribute("aria-expanded");
      trigger.removeEventListener("click", pressed);
      menu.removeEventListener("toggle", toggled);
      window.removeEventListener("resize", scrolled);
      if (menu.matches(":popover-open")) menu.hidePopover();
      const within = nothingFocused(around) || menu.contains(focusedIn(around));
      if (within && trigger.isConnected) trigger.focus();
    };
  }, [trigger]);

  const move = (event: KeyboardEvent) => {
    event.stopPropagation();
    const items = itemsOf(element.current);
    const at = items.findIndex((item) => item === focusedIn(placeOf(item)));
    const to = nextItem(event.key, at, items.length);
    if (event.key === "Tab" || event.key === "Escape") {
      event.preventDefault();
      onClose();
    } else if (to !== null) {
      event.preventDefault();
      items[to]?.focus();
    }
  };

  return (
    <div ref={element} popover="auto" role="menu" aria-label={label} className="menu" onKeyDown={move}>
      {children}
    </div>
  );
}

export function MenuItem({
  onChoose,
  label,
  className = "",
  children,
}: {
  onChoose: () => void;
  label?: string;
  className?: string;
  children: ReactNode;
}) {
  return (
    <button type="button" role="menuitem" tabIndex={-1} aria-label={label} className={className} onClick={onChoose}>
      {children}
    </button>
  );
}

function itemsOf(menu: HTMLElement | null): HTMLElement[] {
  return [...(menu?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
}

/** Returns the item that a key leads to, among `count`; null: none. */
export function nextItem(key: string, at: number, count: number): number | null {
  if (count === 0) return null;
  if (key === "ArrowDown" || key === "ArrowRight") return (at + 1) % count;
  if (key === "ArrowUp" || key === "ArrowLeft") return (at - 1 + count) % count;
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  return null;
}

/** Below the trigger and ending where it ends; above it or further in where there is no room. */
function place(menu: HTMLElement, trigger: DOMRect): void {
  const { width, height } = menu.getBoundingClientRect();
  const below = trigger.bottom + GAP_PX;
  const top = below + height > innerHeight ? trigger.top - GAP_PX - height : below;
  const left = Math.min(trigger.right - width, innerWidth - width - GAP_PX);
  menu.style.top = `${Math.max(GAP_PX, top)}px`;
  menu.style.left = `${Math.max(GAP_PX, left)}px`;
}
