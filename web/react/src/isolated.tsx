/** A place in the host page where its styles don't reach, and from which none leave. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import { createPortal } from "react-dom";
import { NARROW_BELOW_PX } from "./components/narrow.js";
import { styleSheet } from "./styles.js";

/** Renders its children once it is mounted; `children` is told whether the place is narrow. */
export function Isolated({ className, children }: { className: string; children: (narrow: boolean) => ReactNode }) {
  const host = useRef<HTMLDivElement>(null);
  const [root, setRoot] = useState<ShadowRoot | null>(null);
  const [narrow, setNarrow] = useState(false);
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const shadow = element.shadowRoot ?? element.attachShadow({ mode: "open" });
    shadow.adoptedStyleSheets = [styleSheet()];
    const look = () => {
      setNarrow(element.clientWidth > 0 && element.clientWidth < NARROW_BELOW_PX);
    };
    look();
    setRoot(shadow);
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => {
      observer.disconnect();
    };
  }, []);
  return (
    <div ref={host} className={className}>
      {root && createPortal(<div className="shell">{children(narrow)}</div>, root)}
    </div>
  );
}
