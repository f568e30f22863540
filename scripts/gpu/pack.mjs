/*
 * Gathers under .gpu/ what the GPU machine lacks, each folder small enough to be carried in one call:
 *   .gpu/run                the tests and benchmarks as single files, ONNX Runtime's reference, and the sources of the Python rivals
 *   .gpu/node0, .gpu/node1  Node's program, compressed, in two pieces
 *   .gpu/onnxruntime        ONNX Runtime's package for Linux, compressed
 * The add-ons are carried as build/Release; emoji-xl is among the tracked files. usage: node scripts/gpu/pack.mjs
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));
const emoji = join(root, "demo", "emoji-xl");
const run = join(root, ".gpu", "run");
rmSync(run, { recursive: true, force: true });
mkdirSync(run, { recursive: true });
writeFileSync(join(run, "package.json"), '{"type":"commonjs"}\n');

const tests = readdirSync(join(root, "test", "gpu")).filter((name) => name.endsWith(".test.ts"));
// Bundles of ESM for Node; what it asks for its own place is answered from the package's root, where package.json and build/ are.
await build({
  absWorkingDir: root,
  entryPoints: [
    ...tests.map((name) => `test/gpu/${name}`),
    "scripts/gpu/bench-sdxl.ts",
    "scripts/gpu/bench-image.ts",
    "scripts/make-checkpoint.ts",
  ],
  outdir: run,
  entryNames: "[name]",
  outExtension: { ".js": ".mjs" },
  bundle: true,
  // What they share is carried once.
  splitting: true,
  platform: "node",
  format: "esm",
  target: "node24",
  external: ["onnxruntime-node"],
  logLevel: "warning",
  banner: { js: 'import { createRequire as makeRequire } from "node:module"; const require = makeRequire(import.meta.url);' },
});
const environment = { ...process.env, NODE_NO_WARNINGS: "1" };
execFileSync(process.execPath, [join(root, "scripts/gpu/make-reference.ts"), emoji, join(run, "reference.safetensors")], {
  stdio: "inherit",
  env: environment,
});

// In pieces: with the tracked files, 64 MiB travel at a time.
const pieces = ["node0", "node1"].map((name) => join(root, ".gpu", name));
if (!pieces.every((piece) => existsSync(join(piece, "node.xz")))) {
  for (const piece of pieces) mkdirSync(piece, { recursive: true });
  const compressed = execFileSync("xz", ["-6", "-T0", "-c", process.execPath], { maxBuffer: 1 << 28 });
  const half = compressed.length >> 1;
  writeFileSync(join(pieces[0], "node.xz"), compressed.subarray(0, half));
  writeFileSync(join(pieces[1], "node.xz"), compressed.subarray(half));
}

const onnxRuntime = join(root, ".gpu", "onnxruntime");
if (!existsSync(join(onnxRuntime, "onnxruntime.tar.xz"))) {
  mkdirSync(onnxRuntime, { recursive: true });
  const parts = ["package.json", "dist", "bin/napi-v6/linux/x64"].map((part) => `onnxruntime-node/${part}`);
  execFileSync("tar", ["-cJf", join(onnxRuntime, "onnxruntime.tar.xz"), "-C", join(root, "node_modules"), ...parts, "onnxruntime-common"]);
}
console.log(
  execFileSync("du", ["-sh", ".gpu/run", ".gpu/node0", ".gpu/node1", ".gpu/onnxruntime", "build/Release"], { cwd: root, encoding: "utf8" }),
);
