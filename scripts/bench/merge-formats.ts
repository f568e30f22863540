/*
 * Measures what a LoRA of each kind takes on the CPU, full-size SDXL layers, here and in lycoris-lora: reading it and making it ready (delta),
 * then computing the new weights in fp32 (merge), in processor time of all threads, which other work on the machine is not part of; and the
 * process' largest memory. The base stays there only: lycoris writes over it. A fresh process of each side in turns. Prints Markdown.
 *
 * usage: node scripts/bench/merge-formats.ts FOLDER PYTHON [--every N] [--pairs N] [--rank R]
 *   FOLDER   for the files; PYTHON has torch, safetensors and lycoris-lora; every N: one layer in so many (absent: 8)
 */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chooseArithmetic } from "../../src/engines/arithmetic.ts";
import { fromFloat32 } from "../../src/formats/numbers.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { writeSafetensors, type TensorSource } from "../../src/formats/safetensors-writer.ts";
import { elementCount } from "../../src/formats/tensor.ts";
import type { BaseDescription } from "../../src/lora/base.ts";
import { loadAdapter } from "../../src/lora/load-adapter.ts";
import { matrixSize } from "../../src/lora/merge.ts";
import { planStack } from "../../src/lora/stack.ts";
import { describeCheckpoint } from "../../src/models/full-size.ts";
import { madeShapes, NUMBERS } from "../../test/fixtures/lora/made-kinds.ts";
import { median } from "./command-line.ts";

/** The 722 layers that LoRAs are commonly trained for. */
const LINEAR = /\.(?:transformer_blocks\..+|proj_in|proj_out)\.weight$/;
/** Those that lycoris-lora makes modules of by itself; of (IA)³ it cannot (4.1), and for OFT it wants block sizes of its own. */
const KINDS = ["LoRA", "LoHa", "LoKr", "DoRA", "DoRA of LoHa", "GLoRA"];

interface Measure {
  /** Milliseconds of processor time. */
  readonly delta: number;
  readonly merge: number;
  /** MiB. */
  readonly memory: number;
  readonly layers: number;
  readonly version: string;
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    every: { type: "string", default: "8" },
    pairs: { type: "string", default: "3" },
    rank: { type: "string", default: "32" },
    /** Of a child process: this LoRA alone. */
    measure: { type: "string" },
  },
});
const [folder, python] = positionals;
if (folder === undefined || python === undefined) throw new Error("usage: node scripts/bench/merge-formats.ts FOLDER PYTHON");
const baseFile = join(folder, "base.safetensors");

const { components, configuration } = describeCheckpoint("sdxl");
const weights = Array.from(components.get("unet")!.values())
  .filter(({ name, shape }) => LINEAR.test(name) && shape.length === 2)
  .filter((_, index) => index % Number(values.every) === 0);

/** Small numbers of both signs, the same in every run. */
function tensor(name: string, shape: readonly number[], scale: number): TensorSource {
  let state = shape.length + name.length;
  const value = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) * scale;
  };
  return { name, dtype: "F16", shape, chunks: () => [fromFloat32(Float32Array.from({ length: elementCount(shape) }, value), "F16")] };
}

async function makeLora(kind: string): Promise<string> {
  const path = join(folder!, `${kind}.safetensors`);
  const tensors = weights.flatMap(({ name, shape }): TensorSource[] => {
    const module = `lora_unet_${name.slice("model.diffusion_model.".length, -".weight".length).replaceAll(".", "_")}`;
    return Array.from(madeShapes(kind, shape, Number(values.rank)) ?? [], ([factor, sizes]) => {
      const key = `${module}.${/^(?:lora_(?:up|down)|[ab][12])$/.test(factor) ? `${factor}.weight` : factor === "ia3_weight" ? "weight" : factor}`;
      if (!(factor in NUMBERS)) return tensor(key, sizes, 0.1);
      const bytes = fromFloat32(Float32Array.of(NUMBERS[factor]!), "F32");
      return { name: key, dtype: "F32", shape: factor === "on_input" ? [1] : [], chunks: () => [bytes] };
    });
  });
  await writeSafetensors(path, tensors, {});
  return path;
}

async function measureHere(path: string): Promise<Measure> {
  const base: BaseDescription = {
    name: "sdxl",
    architecture: "sdxl",
    fingerprint: "",
    configuration,
    weights: weights.map(({ name, shape }) => ({ name, shape, component: "unet" })),
  };
  const source = await SafetensorsFile.open(baseFile);
  const bases = new Map<string, Float32Array>();
  for (const { name } of weights) bases.set(name, await source.readFloat32(name));
  await source.close();
  const arithmetic = chooseArithmetic();
  const milliseconds = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  const started = milliseconds();
  const { delta } = await loadAdapter(path, base, (name) => Promise.resolve(bases.get(name)!));
  const loaded = milliseconds();
  const jobs = planStack([], [{ delta, scale: 1 }]).merge.map(({ name, shape, terms }) => {
    const before = bases.get(name)!;
    return { base: before, ...matrixSize(shape), shape, terms, out: new Float32Array(before.length) };
  });
  await arithmetic.merge(jobs);
  const merge = milliseconds() - loaded;
  return {
    delta: loaded - started,
    merge,
    memory: process.resourceUsage().maxRSS / 1024,
    layers: jobs.length,
    version: `Node ${process.version}`,
  };
}

function run(program: string, ...parameters: readonly string[]): Measure {
  return JSON.parse(execFileSync(program, parameters, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })) as Measure;
}

if (values.measure !== undefined) {
  console.log(JSON.stringify(await measureHere(values.measure)));
} else {
  mkdirSync(folder, { recursive: true });
  await writeSafetensors(
    baseFile,
    weights.map(({ name, shape }) => tensor(name, shape, 0.1)),
    {},
  );
  console.log("| kind | layers | delta, here / lycoris | ratio | merge, here / lycoris | ratio | memory, here / lycoris | ratio |");
  console.log("| --- | --- | --- | --- | --- | --- | --- | --- |");
  for (const kind of KINDS) {
    const lora = await makeLora(kind);
    const pairs = Array.from({ length: Number(values.pairs) }, () => {
      const here = run(
        process.execPath,
        fileURLToPath(import.meta.url),
        folder,
        python,
        "--every",
        values.every,
        "--rank",
        values.rank,
        "--measure",
        lora,
      );
      return { here, there: run(python, fileURLToPath(new URL("merge_formats.py", import.meta.url)), baseFile, lora) };
    });
    const cells = (["delta", "merge", "memory"] as const).map((what) => {
      const [here, there] = [median(pairs.map((pair) => pair.here[what])), median(pairs.map((pair) => pair.there[what]))];
      const unit = what === "memory" ? "MB" : "ms";
      return `${here.toFixed(0)} / ${there.toFixed(0)} ${unit} | ${median(pairs.map((pair) => pair.here[what] / pair.there[what])).toFixed(2)}`;
    });
    console.log(`| ${kind} | ${pairs[0]!.here.layers} | ${cells.join(" | ")} |`);
    if (kind === KINDS.at(-1)) console.log(`\n${pairs[0]!.here.version}; ${pairs[0]!.there.version}; medians of ${values.pairs} pairs.`);
  }
}
