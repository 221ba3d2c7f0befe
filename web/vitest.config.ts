import { defaultClientConditions, defaultServerConditions } from "vite";
import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["source", ...defaultClientConditions] },
  ssr: { resolve: { conditions: ["source", ...defaultServerConditions] } },
  test: {
    include: ["client/test/**/*.test.ts", "{page,react}/test/**/*.test.{ts,tsx}"],
    passWithNoTests: true,
  },
});
