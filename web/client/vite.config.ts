import { defineConfig } from "vite";

// The package as npm gets it: one module, with its source map.
export default defineConfig({
  build: {
    lib: { entry: "src/index.ts", formats: ["es"], fileName: "index" },
    target: "es2022",
    sourcemap: true,
    minify: false,
  },
});
