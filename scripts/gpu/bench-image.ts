/*
 * A picture of 1024 × 1024 in 20 steps with a full-size SDXL on TensorRT, text to PNG, engine warm: through the job that the command line
 * runs. Prints a table and writes $OUT/bench-image.json.
 * usage: bench-image.ts CHECKPOINT.safetensors WORK_DIR      the checkpoint: scripts/make-checkpoint.ts sdxl OUT
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chooseArithmetic, chooseHasher } from "../../src/engines/arithmetic.ts";
import { EngineCache } from "../../src/jobs/engine-cache.ts";
import { runJob, type JobKind } from "../../src/jobs/run.ts";

const [checkpoint, work] = process.argv.slice(2);
if (!checkpoint || !work) throw new Error("usage: bench-image.ts CHECKPOINT.safetensors WORK_DIR");
const TURNS = 5;
const engines = new EngineCache(chooseArithmetic(), chooseHasher());
const rows: { readonly what: string; readonly value: number; readonly unit: string }[] = [];

function report(what: string, value: number): void {
  rows.push({ what, value, unit: "ms" });
  console.log(`${what.padEnd(64)} ${value.toFixed(1).padStart(10)} ms`);
}

async function run<Kind extends JobKind>(kind: Kind, options: object) {
  let stage = "";
  const progress = (now: { readonly stage: string }) => {
    if (kind === "export" && now.stage !== stage) console.log(`  ${(performance.now() / 1000).toFixed(1)} s: ${now.stage}`);
    ({ stage } = now);
  };
  return runJob(kind, options, { progress, log: (_level, message) => console.log(message) }, engines);
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

const bundle = join(work, "sdxl-whole");
if (!existsSync(join(bundle, "engine.json"))) {
  const side = [1024, 1024, 1024];
  const started = performance.now();
  const components = ["unet", "text_encoder", "text_encoder_2", "vae_decoder"];
  const timingCache = join(work, "timing");
  await run("export", {
    checkpoint,
    output: bundle,
    backend: "tensorrt",
    static: true,
    height: side,
    width: side,
    components,
    timingCache,
  });
  report("export of four components", performance.now() - started);
}
const options = {
  engine: bundle,
  prompt: "a photograph of an astronaut riding a horse",
  seed: 1,
  overwrite: true,
  output: join(work, "out.png"),
};
const loading = performance.now();
await run("generate", options);
report("load and the first picture", performance.now() - loading);
const results = [];
for (let turn = 0; turn < TURNS; turn++) results.push((await run("generate", options)).timings);
report(`a 20-step 1024×1024 image, text to PNG, median of ${TURNS}`, median(results.map(({ total }) => total)));
for (const part of ["stack", "encode", "step", "decode"] as const) report(`of it ${part}`, median(results.map((timings) => timings[part])));
await engines.unloadAll();
writeFileSync(join(process.env["OUT"] ?? work, "bench-image.json"), JSON.stringify(rows, undefined, 1));
