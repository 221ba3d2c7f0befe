import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.js";
import "@chatd/react/components.css";
import "./styles/index.css";

// A new build of the page: the chunk that is asked for is gone. Drafts are written as the page hides; load once.
window.addEventListener("vite:preloadError", (event) => {
  if (sessionStorage.getItem("chatd.reloaded")) return;
  event.preventDefault();
  sessionStorage.setItem("chatd.reloaded", "1");
  location.reload();
});

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
