/*
 * What the inspector's worker takes for a file: the header, a first layer, all layers, and the memory it takes for it; with --compare a
 * comparison with another file, for the first time and again. A cold worker, as when an editor is opened in a new window.
 *
 * usage: node scripts/bench/inspector.ts FILE.safetensors [--restricted] [--header | --compare OTHER]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readFileSync } from "node:fs";
import { WorkerConnection } from "../../src/extension/worker/connection.ts";

const [file, ...flags] = process.argv.slice(2);
if (file === undefined)
  throw new Error("usage: node scripts/bench/inspector.ts FILE.safetensors [--restricted] [--header | --compare OTHER]");
const script = join(import.meta.dirname, "..", "..", "dist", "worker.js");
const restricted = flags.includes("--restricted");
const quiet = { onExit: () => {}, onOutput: console.error, onLog: () => {}, onEngines: () => {} };

let start = performance.now();
const since = () => Math.round(performance.now() - start);
const worker = await WorkerConnection.start({ script, restricted, environment: process.env }, quiet);

await worker.request("files/describe", { paths: [] });
console.log(`worker ready   ${since()} ms`);
start = performance.now();

/** Seconds of processor time that the worker has used. */
function processorTime(): string {
  const [, , , , , , , , , , , , , user, system] = readFileSync(`/proc/${worker.processId}/stat`, "utf8").split(" ");
  return ((Number(user) + Number(system)) / 100).toFixed(1);
}

/** The most memory the worker has held, in MB. */
function peakMemory(): number {
  const status = readFileSync(`/proc/${worker.processId}/status`, "utf8");
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1000);
}

const { state, layers, kind, bytes } = await worker.request("inspection/open", { path: file });
console.log(`${kind}, ${(bytes / 1e6).toFixed(0)} MB, ${layers.length} layers${restricted ? ", restricted" : ""}`);
console.log(`header         ${since()} ms, ${processorTime()} s of processor time with the start, peak ${peakMemory()} MB`);
const other = flags[flags.indexOf("--compare") + 1];
if (flags.includes("--compare") && other !== undefined) {
  const cache = mkdtempSync(join(tmpdir(), "bench-compare-"));
  const target = { a: [{ file }], b: [{ file: other }], cache };
  for (const time of ["first", "again"]) {
    start = performance.now();
    const { result } = await worker.compare(target, () => {});
    console.log(`compared ${time} ${since()} ms, ${result.layers.length} layers, peak ${peakMemory()} MB`);
  }
  rmSync(cache, { recursive: true });
} else if (!flags.includes("--header")) {
  await worker.request("inspection/statistics", { path: file, state, layers: [0] });
  console.log(`first layer    ${since()} ms`);
  const middle = Math.floor(layers.length / 2);
  const before = since();
  const { rows, columns } = await worker.request("inspection/detail", { path: file, state, layer: middle });
  console.log(`one detail     ${since() - before} ms (${rows} × ${columns})`);
  const tileBefore = since();
  await worker.request("inspection/tile", { path: file, state, layer: middle, level: 0, x: 0, y: 0 });
  console.log(`one tile       ${since() - tileBefore} ms`);
  for (let index = 0; index < layers.length; index += 8) {
    const batch = Array.from({ length: Math.min(8, layers.length - index) }, (_, offset) => index + offset);
    await worker.request("inspection/statistics", { path: file, state, layers: batch });
  }
  console.log(`all layers     ${since()} ms, ${processorTime()} s of processor time, peak ${peakMemory()} MB`);
}
await worker.stop();
