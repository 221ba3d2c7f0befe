import { fileURLToPath } from "node:url";
import { defaultClientConditions, defaultServerConditions } from "vite";
import { defineConfig } from "vitest/config";

const react18 = (name: string) => fileURLToPath(new URL(`react-18/node_modules/${name}`, import.meta.url));

export default defineConfig({
  resolve: { conditions: ["source", ...defaultClientConditions] },
  ssr: { resolve: { conditions: ["source", ...defaultServerConditions] } },
  test: {
    passWithNoTests: true,
    maxWorkers: "100%", // by default one processor of two would stand idle
    testTimeout: 30_000, // 100 mounts take 1 s on a quiet machine, and ten times that on a busy one
    projects: [
      {
        extends: true,
        test: { name: "web", include: ["client/test/**/*.test.ts", "{page,react}/test/**/*.test.{ts,tsx}"] },
      },
      {
        extends: true,
        resolve: { alias: { react: react18("react"), "react-dom": react18("react-dom") } },
        test: { name: "react 18", env: { REACT_MAJOR: "18" }, include: ["react/test/**/*.test.tsx"] },
      },
    ],
  },
});
