import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // test/host runs inside VS Code, test/gpu on a machine with a GPU; each has a runner of its own.
    include: ["test/unit/**/*.test.ts"],
    // Slow machines: no timing decides a test.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
