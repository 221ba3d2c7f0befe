import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["client/test/**/*.test.ts", "page/test/**/*.test.{ts,tsx}"], passWithNoTests: true },
});
