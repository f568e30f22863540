/*
 * SDXL-base's UNet on TensorRT: builds, steps, loads, LoRA switches and memory. Prints a table and writes $OUT/bench-sdxl.json.
 * usage: bench-sdxl.ts CHECKPOINT.safetensors WORK_DIR [--architecture sdxl|sd1] [--skip-tax] [--cold]
 *   the checkpoint: scripts/make-checkpoint.ts sdxl OUT --components unet
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { tensorRtBackend } from "../../src/engines/tensorrt/backend.ts";
import { openStoredDelta } from "../../src/engines/tensorrt/stored-delta.ts";
import type { Engine, Inputs } from "../../src/engines/engine.ts";
import type { Tensor } from "../../src/formats/tensor.ts";
import type { Profile } from "../../src/formats/engine-profile.ts";
import { describeBase } from "../../src/jobs/base-description.ts";
import { openBundle, type OpenedBundle } from "../../src/jobs/engine-cache.ts";
import type { Delta } from "../../src/lora/delta.ts";
import { openCheckpoint } from "../../src/models/open-checkpoint.ts";
import { randomTensor, TorchGenerator } from "../../src/pipeline/noise.ts";
import { buildBundle, loadBundle, loadDelta } from "../../test/gpu/bundle.ts";
import { writeMadeDelta } from "./made-delta.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    architecture: { type: "string", default: "sdxl" },
    "skip-tax": { type: "boolean", default: false },
    cold: { type: "boolean", default: false },
    rank: { type: "string", default: "32" },
  },
});
const [checkpointFile, work] = positionals;
if (!checkpointFile || !work) throw new Error("usage: bench-sdxl.ts CHECKPOINT.safetensors WORK_DIR");
const out = process.env["OUT"] ?? work;
const side = values.architecture === "sdxl" ? 1024 : 512;
const rank = Number(values.rank);
const axis = (size: number) => ({ min: size, opt: size, max: size });
const PROFILE: Profile = { static: true, batch: axis(1), height: axis(side), width: axis(side), context: axis(77) };
const timingCacheFolder = join(work, "timing");
const rows: { readonly what: string; readonly value: number; readonly unit: string }[] = [];

function report(what: string, value: number, unit = "ms"): void {
  rows.push({ what, value, unit });
  console.log(`${what.padEnd(64)} ${value.toFixed(unit === "GB" ? 2 : 1).padStart(10)} ${unit}`);
}

async function timed<Result>(what: string, measured: () => Promise<Result>): Promise<Result> {
  const started = performance.now();
  const result = await measured();
  report(what, performance.now() - started);
  return result;
}

interface UnetInputs extends Record<string, Tensor> {
  readonly x: Tensor;
  readonly timesteps: Tensor;
}

const median = (times: readonly number[]) => times.toSorted((a, b) => a - b)[times.length >> 1]!;

async function steps(what: string, engine: Engine, inputs: Inputs, count = 30): Promise<void> {
  const times: number[] = [];
  for (let step = 0; step < count + 5; step++) {
    const started = performance.now();
    await engine.run("unet", inputs);
    if (step >= 5) times.push(performance.now() - started);
  }
  report(`${what}: step, median of ${count}, from JavaScript and back`, median(times));
  report(`${what}: step, least`, Math.min(...times));
}

/** Steps as `generate` runs them: latents and guidance stay on the GPU, which may be one step behind. */
async function sampledSteps(what: string, engine: Engine, { x, timesteps, ...inputs }: UnetInputs, count = 30): Promise<number[]> {
  const [batch, ...rest] = x.dims as [number, ...number[]];
  const sampling = await engine.startSampling!({ dims: [batch / 2, ...rest], isGuided: true, inputs });
  try {
    const step = { inputScale: 1, timestep: timesteps.data[0]!, cfg: 7, cfgRescale: 0, skip: 1, out: 0 };
    let latents = sampling.fromHost(x.data.slice(0, x.data.length / 2));
    const run = async () => {
      const started = performance.now();
      latents = await sampling.denoise(latents, step);
      sampling.keepOnly([latents]);
      return performance.now() - started;
    };
    const first: number[] = [];
    for (let index = 0; index < 5; index++) first.push(await run());
    await sampling.toHost(latents);
    const started = performance.now();
    for (let index = 0; index < count; index++) await run();
    await sampling.toHost(latents);
    report(`${what}: step with latents on the GPU, mean of ${count}`, (performance.now() - started) / count);
    return first;
  } catch (error) {
    // Made-up weights may give numbers that fp16 does not hold; the other figures stand all the same.
    console.log(`# ${what}, latents on the GPU: ${error instanceof Error ? error.message : String(error)}`);
    return [];
  } finally {
    await sampling.close();
  }
}

function inputsOf({ configuration }: OpenedBundle): UnetInputs {
  const generator = new TorchGenerator(0n);
  const { inChannels, contextWidth, admWidth } = configuration.unet!;
  return {
    x: randomTensor(generator, [2, inChannels, side / 8, side / 8]),
    timesteps: { dims: [2], data: Float32Array.of(500, 500) },
    context: randomTensor(generator, [2, 77, contextWidth]),
    ...(admWidth > 0 && { y: randomTensor(generator, [2, admWidth]) }),
  };
}

async function change(what: string, engine: Engine, stack: readonly { readonly delta: Delta; readonly scale: number }[]): Promise<void> {
  const totals: number[] = [];
  const parts = { read: [] as number[], merge: [] as number[], refit: [] as number[] };
  for (let turn = 0; turn < 5; turn++) {
    await engine.setStack([]);
    const started = performance.now();
    const { timings } = await engine.setStack(stack);
    totals.push(performance.now() - started);
    for (const part of ["read", "merge", "refit"] as const) parts[part].push(timings[part]);
  }
  report(`${what}: setStack, median of 5`, median(totals));
  report(`${what}: of it factors to the GPU`, median(parts.read));
  report(`${what}: of it merge`, median(parts.merge));
  report(`${what}: of it refit`, median(parts.refit));
}

/** From a file in the page cache to an engine that is ready. */
async function switchFromFile(what: string | undefined, file: string): Promise<Delta> {
  const started = performance.now();
  const delta = (await openStoredDelta(file, describeBase(opened)))!;
  const read = performance.now() - started;
  await engine.setStack([{ delta, scale: 1 }]);
  if (what !== undefined) {
    report(`${what}: read from the page cache`, read);
    report(`${what}: from the file to ready`, performance.now() - started);
  }
  return delta;
}

function memory(what: string, engine: Engine): void {
  const { merged, gpu } = engine.memory();
  const { plan, contexts, base, free, total } = gpu!;
  report(`${what}: GPU memory of the plan`, plan / 1e9, "GB");
  report(`${what}: of contexts`, contexts / 1e9, "GB");
  report(`${what}: of the base's copy`, base / 1e9, "GB");
  report(`${what}: of new values and factors`, merged / 1e9, "GB");
  report(`${what}: in use on the GPU in all`, (total - free) / 1e9, "GB");
}

mkdirSync(work, { recursive: true });
const checkpoint = await openCheckpoint(checkpointFile);
let stage = "";
/** Says when each stage of a build begins. */
const onProgress = (now: string) => {
  if (now !== stage) console.log(`  ${(performance.now() / 1000).toFixed(1)} s: ${now}`);
  stage = now;
};
const options = { components: ["unet"] as const, profile: () => PROFILE, plan: { timingCacheFolder }, onProgress };
if (values.cold) rmSync(timingCacheFolder, { recursive: true, force: true });
const isCold = !existsSync(timingCacheFolder);
const folder = join(work, `${values.architecture}-individual`);
const opened = existsSync(join(folder, "engine.json"))
  ? await openBundle(folder)
  : await timed(`build, refit individual, ${isCold ? "cold" : "warm"} timing cache`, () =>
      buildBundle(tensorRtBackend, checkpoint, folder, options),
    );
if (isCold && !values["skip-tax"]) {
  await timed("build, refit individual, warm timing cache", () => buildBundle(tensorRtBackend, checkpoint, folder, options));
}
const inputs = inputsOf(opened);

const startedLoading = performance.now();
const engine = await loadBundle(tensorRtBackend, opened, { basePlacement: "gpu" });
report("load from the page cache, first refit included", performance.now() - startedLoading);
await engine.run("unet", inputs);
report("load to the first step's end", performance.now() - startedLoading);
memory("base on the GPU", engine);
await steps("refittable", engine, inputs);
await sampledSteps("refittable", engine, inputs);

const files = Array.from({ length: 4 }, (_, index) => join(work, `${values.architecture}-${rank}-${index}.trt_lora`));
const deltas: Delta[] = [];
for (const [index, file] of files.entries()) {
  console.log(await writeMadeDelta(opened, file, { kind: "LoRA", rank, seed: index }));
  await loadDelta(opened, file); // Into the page cache.
  deltas.push(await switchFromFile(`LoRA ${index + 1}, instead of the one before`, file));
}
await change("one LoRA", engine, [{ delta: deltas[0]!, scale: 1 }]);
const afterSwitch = await sampledSteps("one LoRA", engine, inputs);
// An ordinary run, then one that is captured as a graph; each is answered when the one before it is done.
afterSwitch.forEach((time, index) => report(`one LoRA: step ${index + 1} after the switch`, time));
const bfloatFile = join(work, `${values.architecture}-${rank}-bf16.trt_lora`);
console.log(await writeMadeDelta(opened, bfloatFile, { kind: "LoRA", rank, seed: 0, dtype: "BF16" }));
const ofBfloats = { delta: await switchFromFile(undefined, bfloatFile), scale: 1 };
await change("one LoRA of bf16 factors", engine, [ofBfloats]);
await change("two LoRAs, of fp16 and of bf16 factors", engine, [{ delta: deltas[0]!, scale: 1 }, ofBfloats]);
await change(
  "stack of four",
  engine,
  deltas.map((delta) => ({ delta, scale: 0.25 })),
);
await engine.setStack([{ delta: deltas[0]!, scale: 1 }]);
for (const scale of [0.5, 0.25, 0.75]) await timed("strength change only", () => engine.setStack([{ delta: deltas[0]!, scale }]));
const two = deltas.slice(0, 2).map((delta) => ({ delta, scale: 0.75 }));
await timed("one LoRA more", () => engine.setStack(two));
await timed("back to the base", () => engine.setStack([]));
for (const [kind, dtype] of [
  ["LoHa", "F16"],
  ["LoHa", "BF16"],
  ["LoKr", "F16"],
  ["DoRA", "F16"],
  ["OFT", "F16"],
] as const) {
  const what = dtype === "BF16" ? `one ${kind} of bf16 factors` : `one ${kind}`;
  const file = join(work, `${values.architecture}-${rank}-${kind}-${dtype}.trt_lora`);
  console.log(await writeMadeDelta(opened, file, { kind, rank, seed: 9, dtype }));
  // The second time: the first one finds memory and the kernels' code.
  await switchFromFile(undefined, file);
  await engine.setStack([]);
  await change(what, engine, [{ delta: await switchFromFile(what, file), scale: 1 }]);
}
await engine.setStack([]);
memory("base on the GPU, after these", engine);
await engine.unload();

const host = await timed("load, base in host memory", () => loadBundle(tensorRtBackend, opened, { basePlacement: "host" }));
memory("base in host memory", host);
await change("base in host memory, one LoRA", host, [{ delta: deltas[0]!, scale: 1 }]);
await host.unload();

if (!values["skip-tax"]) {
  const plain = await timed("build without refit, warm timing cache", () =>
    buildBundle(tensorRtBackend, checkpoint, join(work, `${values.architecture}-none`), {
      ...options,
      plan: { ...options.plan, refit: "none" },
    }),
  );
  const fixed = await loadBundle(tensorRtBackend, plain);
  await steps("not refittable", fixed, inputs);
  await fixed.unload();
}
writeFileSync(join(out, `bench-${values.architecture}.json`), JSON.stringify(rows, undefined, 1));
