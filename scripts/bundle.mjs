/*
 * Bundles dist/: extension.js, worker.js, cli.js, webview/NAME.js and NAME.css of every folder of src/webview with a main.ts, and
 * with --tests also dist/test/index.js (the suite that runs inside VS Code). What runs in Node.js is CommonJS, because a single-file
 * CommonJS bundle is what VS Code's extension host loads fastest.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const tests = process.argv.includes("--tests");
const production = process.argv.includes("--production");

/** @type {import("esbuild").BuildOptions} */
const common = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  logLevel: "warning",
  minify: production,
  keepNames: production,
  sourcemap: production ? false : "linked",
  metafile: production,
  // CommonJS has no import.meta: modules that ask for their own place get the bundle's.
  define: { "import.meta.url": "bundleUrl", "import.meta.dirname": "__dirname", "import.meta.filename": "__filename" },
};
const bundleUrl = 'const bundleUrl = require("node:url").pathToFileURL(__filename).href;';

rmSync(`${root}dist`, { recursive: true, force: true });
mkdirSync(`${root}dist`, { recursive: true });
// The package itself is ESM; what is bundled is not.
writeFileSync(`${root}dist/package.json`, '{"type":"commonjs"}\n');

const builds = [
  build({
    ...common,
    entryPoints: ["src/extension/extension.ts"],
    outfile: "dist/extension.js",
    external: ["vscode"],
    // jsonc-parser's other form asks for its parts at run time.
    mainFields: ["module", "main"],
  }),
  build({
    ...common,
    entryPoints: [{ in: "src/worker/main.ts", out: "worker" }],
    outdir: "dist",
    external: ["onnxruntime-node"],
    banner: { js: bundleUrl },
  }),
  build({
    ...common,
    entryPoints: [{ in: "src/cli/main.ts", out: "cli" }],
    outdir: "dist",
    external: ["onnxruntime-node"],
    banner: { js: `#!/usr/bin/env node\n${bundleUrl}` },
  }),
];
const webviews = readdirSync(`${root}src/webview`).filter((name) => existsSync(`${root}src/webview/${name}/main.ts`));
builds.push(
  build({
    absWorkingDir: root,
    entryPoints: webviews.map((name) => ({ in: `src/webview/${name}/main.ts`, out: name })),
    outdir: "dist/webview",
    bundle: true,
    platform: "browser",
    format: "iife",
    // Electron 34 and later, and what browsers code-server is used with.
    target: "chrome128",
    logLevel: "warning",
    minify: production,
    sourcemap: production ? false : "inline",
    metafile: production,
  }),
);
if (tests) {
  const suite = readdirSync(`${root}test/host/suite`).filter((name) => name.endsWith(".test.ts"));
  if (suite.length === 0) throw new Error("No test was found in test/host/suite.");
  const imports = suite.map((name) => `import "./${name}";`).join("\n");
  builds.push(
    build({
      ...common,
      stdin: { contents: `${imports}\nexport { run } from "../harness/runner.ts";`, resolveDir: `${root}test/host/suite`, loader: "ts" },
      outfile: "dist/test/index.js",
      external: ["vscode"],
    }),
  );
}
const results = await Promise.all(builds);
// Whose code is in the bundles, for the list of licences.
if (production) {
  mkdirSync(`${root}build`, { recursive: true });
  writeFileSync(`${root}build/bundled.json`, JSON.stringify(results.flatMap(({ metafile }) => Object.keys(metafile.inputs))));
}
