/*
 * What the native add-on is worth: `node scripts/bench-native.ts [share]`. Merging SDXL's 722 linear layers with a LoRA of rank 32 (a
 * share of them, 1/4 unless told, because all of them in fp32 are 9 GB and as much again), merging two LoRAs into emoji-xl, and
 * converting numbers; each against ONNX Runtime's and JavaScript's way, best of five in one run. Prints Markdown.
 */
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { loadNativeAddon } from "../src/engines/native-addon.ts";
import { NativeArithmetic } from "../src/engines/native-arithmetic.ts";
import { bf16ToFloat32, float32ToBf16, float32ToFp16, fp16ToFloat32 } from "../src/formats/half.ts";
import { SafetensorsFile } from "../src/formats/safetensors.ts";
import { matrixSize, type MergeJob, type MergeTerm, type WeightArithmetic } from "../src/lora/merge.ts";
import { OnnxRuntimeArithmetic } from "../src/lora/onnxruntime-arithmetic.ts";

const REPEATS = 5;
const SHARE = Number(process.argv[2] ?? 4);
const THREADS = availableParallelism();
type Size = readonly [rows: number, columns: number];

const loaded = loadNativeAddon();
if (!loaded.addon) throw new Error(`${loaded.file}: ${loaded.reason}`);
const { addon, version } = loaded;

/** The linear layers of SDXL's 70 transformer blocks and of the projections around them. */
function sdxlLayers(): Size[] {
  const layers: Size[] = [];
  const add = (count: number, ...size: Size) => layers.push(...Array.from({ length: count }, () => size));
  for (const [blocks, width] of [
    [10, 640],
    [60, 1280],
  ] as const) {
    add(blocks * 6, width, width);
    add(blocks * 2, width, 2048);
    add(blocks, 8 * width, width);
    add(blocks, width, 4 * width);
  }
  add(10, 640, 640);
  add(12, 1280, 1280);
  return layers;
}

async function emojiLayers(): Promise<Size[]> {
  const file = await SafetensorsFile.open(join(import.meta.dirname, "..", "demo", "emoji-xl", "emoji-xl.safetensors"));
  const linear = /^model\.diffusion_model\..+(to_q|to_k|to_v|to_out\.0|ff\.net\.0\.proj|ff\.net\.2|proj_in|proj_out)\.weight$/;
  const sizes = [...file.tensors.values()].filter(({ name }) => linear.test(name)).map(({ shape }) => matrixSize(shape));
  await file.close();
  return sizes.map(({ rows, columns }) => [rows, columns] as const);
}

function numbers(count: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = ((i * 7919) % 2003) / 1001 - 1;
  return values;
}

function jobsFor(sizes: readonly Size[], loras: number, rank: number): MergeJob[] {
  return sizes.map(([rows, columns]) => {
    const term = (): MergeTerm => ({
      scale: 0.7,
      change: { kind: "lowRank", rank, up: numbers(rows * rank), down: numbers(rank * columns) },
    });
    return { rows, columns, base: numbers(rows * columns), out: numbers(rows * columns), terms: Array.from({ length: loras }, term) };
  });
}

/** The loops a JavaScript programmer would write: rows of `down` added up, base and output touched once. */
class JavaScriptArithmetic implements WeightArithmetic {
  async merge(jobs: readonly MergeJob[]): Promise<void> {
    for (const { rows, columns, base, out, terms } of jobs) {
      out.set(base);
      for (const { change, scale } of terms) {
        if (change.kind !== "lowRank") continue;
        for (let row = 0; row < rows; row++) {
          for (let k = 0; k < change.rank; k++) {
            const factor = scale * change.up[row * change.rank + k]!;
            for (let column = 0; column < columns; column++) out[row * columns + column]! += factor * change.down[k * columns + column]!;
          }
        }
      }
    }
  }
}

/** Milliseconds of the fastest of several runs. */
async function best(run: () => unknown, repeats = REPEATS): Promise<number> {
  let fastest = Infinity;
  for (let i = 0; i < repeats; i++) {
    const start = performance.now();
    await run();
    fastest = Math.min(fastest, performance.now() - start);
  }
  return fastest;
}

async function mergeRow(name: string, jobs: readonly MergeJob[], whole: number, withJavaScript: readonly MergeJob[]): Promise<void> {
  const native = await best(() => new NativeArithmetic(addon, THREADS).merge(jobs));
  const onnxRuntimeArithmetic = new OnnxRuntimeArithmetic(THREADS);
  const onnxRuntime = await best(() => onnxRuntimeArithmetic.merge(jobs));
  const elements = (list: readonly MergeJob[]) => list.reduce((sum, job) => sum + job.rows * job.columns, 0);
  const javaScript = (await best(() => new JavaScriptArithmetic().merge(withJavaScript), 1)) * (elements(jobs) / elements(withJavaScript));
  const columns = [native, onnxRuntime, javaScript].map((milliseconds) => `${(milliseconds * whole).toFixed(1)} ms`);
  console.log(`| ${name} | ${columns.join(" | ")} | ${(onnxRuntime / native).toFixed(1)} | ${(javaScript / native).toFixed(0)} |`);
}

async function convertRow(dtype: "F16" | "BF16", widening: boolean): Promise<void> {
  const count = 64 * 2 ** 20;
  const floats = numbers(count);
  const words = dtype === "F16" ? float32ToFp16(floats) : float32ToBf16(floats);
  const [narrow, wide] = [{ data: words, dtype } as const, { data: floats, dtype: "F32" } as const];
  const native = await best(() => (widening ? addon.convert(narrow, wide, THREADS) : addon.convert(wide, narrow, THREADS)));
  const widen = dtype === "F16" ? fp16ToFloat32 : bf16ToFloat32;
  const javaScript = await best(() => {
    if (widening) widen(words, floats);
    else if (dtype === "F16") float32ToFp16(floats);
    else float32ToBf16(floats);
  });
  const name = widening ? `${dtype} to F32` : `F32 to ${dtype}`;
  console.log(`| ${name}, 64 Mi numbers | ${native.toFixed(1)} ms | ${javaScript.toFixed(1)} ms | ${(javaScript / native).toFixed(0)} |`);
}

console.log(`${cpus()[0]?.model}, ${THREADS} threads, kernels ${version.kernels}, ${version.compiler}\n`);
console.log("| merge | add-on | ONNX Runtime | JavaScript | ÷ ONNX Runtime | ÷ JavaScript |\n| --- | --- | --- | --- | --- | --- |");
const sdxl = sdxlLayers();
const sdxlJobs = jobsFor(
  sdxl.filter((_, i) => i % SHARE === 0),
  1,
  32,
);
const parameters = (sdxl.reduce((sum, [rows, columns]) => sum + rows * columns, 0) / 1e9).toFixed(2);
await mergeRow(`SDXL, ${sdxl.length} layers (${parameters} G weights), rank 32`, sdxlJobs, SHARE, sdxlJobs.slice(0, 4));
const emojiJobs = jobsFor(await emojiLayers(), 2, 8);
await mergeRow(`emoji-xl, ${emojiJobs.length} layers, two LoRAs of rank 8`, emojiJobs, 1, emojiJobs);
console.log("\n| convert | add-on | JavaScript | ÷ JavaScript |\n| --- | --- | --- | --- |");
for (const dtype of ["F16", "BF16"] as const) {
  await convertRow(dtype, true);
  await convertRow(dtype, false);
}
