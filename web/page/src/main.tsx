import { createRoot } from "react-dom/client";
import { createClient } from "@chatd/client";

createRoot(document.getElementById("root") as HTMLElement).render(
  <p>{createClient().connection.getSnapshot().phase}</p>,
);
