import { defaultClientConditions, defineConfig } from "vite";

const daemon = process.env.CHATD_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  build: {
    outDir: "../../chatd/http/page",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the policy of the page allows no data: addresses
    modulePreload: { polyfill: false },
  },
  resolve: { conditions: ["source", ...defaultClientConditions] },
  server: {
    proxy: {
      "/ws": { target: daemon, ws: true },
      "/v1": daemon,
      "/theme.css": daemon,
      "/logo": daemon,
    },
  },
});
