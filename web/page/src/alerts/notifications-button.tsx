import { useState } from "react";
import { Icon, words } from "@chatd/react/components";

/** Asks for permission by a press, as browsers want it; gone once that is decided. */
export function NotificationsButton() {
  const [permission, setPermission] = useState(() => ("Notification" in window ? Notification.permission : "denied"));
  if (permission !== "default" || !isSecureContext) return null;
  return (
    <button
      type="button"
      className="icon-button"
      aria-label={words.turnOnNotifications}
      title={words.turnOnNotifications}
      onClick={() => {
        void Notification.requestPermission().then(setPermission);
      }}
    >
      <Icon name="bell" />
    </button>
  );
}
