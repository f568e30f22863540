/*
 * Times the command line on full-size files with random weights, and hashing in the add-on against Node's crypto:
 * `npm run bench:full-size -- FOLDER [repeats]`. The folder needs 18 GB; what is there already is used again. Prints Markdown.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { chooseHasher } from "../../src/engines/arithmetic.ts";
import { CryptoHasher } from "../../src/engines/crypto-hasher.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { median, runCommand, type Measured } from "./command-line.ts";

const [folder, repeatsText = "5"] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: npm run bench:full-size -- FOLDER [repeats]");
const repeats = Number(repeatsText);
const place = (name: string) => join(folder, name);
const script = (name: string) => fileURLToPath(new URL(name, import.meta.url));

function make(name: string, ...command: readonly [string, ...string[]]): string {
  if (!existsSync(place(name))) execFileSync(process.execPath, [script(command[0]), ...command.slice(1)]);
  return place(name);
}

function row(what: string, runs: readonly Measured[]): void {
  const time = median(runs.map(({ milliseconds }) => milliseconds));
  const peak = Math.max(...runs.map((run) => run.peak));
  console.log(`| ${what} | ${time.toFixed(0)} ms | ${(peak / 1e6).toFixed(0)} MB |`);
}

async function repeat(run: () => Promise<Measured>): Promise<Measured[]> {
  const runs: Measured[] = [];
  for (let i = 0; i < repeats; i++) runs.push(await run());
  return runs;
}

mkdirSync(folder, { recursive: true });
const sdxl = make("sdxl.safetensors", "../make-checkpoint.ts", "sdxl", place("sdxl.safetensors"));
const sd1 = make("sd1.safetensors", "../make-checkpoint.ts", "sd1", place("sd1.safetensors"));
const lora = make("sdxl-lora.safetensors", "make-lora.ts", place("sdxl-lora.safetensors"));
const wideLora = make("sdxl-lora-128.safetensors", "make-lora.ts", place("sdxl-lora-128.safetensors"), "128");

console.log(`Medians of ${repeats}; peak memory is the largest of them.\n\n| command | time | peak memory |\n| --- | --- | --- |`);
const [sdxlBundle, sd1Bundle, delta, image] = [place("sdxl"), place("sd1"), place("delta.trt_lora"), place("image.png")];
row("export of SDXL, 6.9 GB fp16", await repeat(() => runCommand("export", sdxl, "-o", sdxlBundle, "--overwrite")));
row(
  "delta of a LoRA of rank 32, 722 layers",
  await repeat(() => {
    rmSync(delta, { force: true });
    return runCommand("delta", sdxlBundle, lora, "-o", delta);
  }),
);
const [baked, small] = [place("baked.safetensors"), place("small.safetensors")];
row("bake of that LoRA into the checkpoint", await repeat(() => runCommand("bake", sdxl, "--lora", lora, "-o", baked, "--overwrite")));
row("extract of it from the two, rank 32", [await runCommand("extract", sdxl, baked, "--rank", "32", "-o", small, "--overwrite")]);
row("resize of a LoRA of rank 128 to 32", await repeat(() => runCommand("resize", wideLora, "--rank", "32", "-o", small, "--overwrite")));
rmSync(baked);
row("inspect of the SDXL checkpoint", await repeat(() => runCommand("inspect", sdxl)));
await runCommand("export", sd1, "-o", sd1Bundle, "--overwrite");
const generated = await runCommand("generate", sd1Bundle, "--prompt", "a house", "--steps", "1", "--seed", "1", "-o", image, "--overwrite");
row("generate with SD 1.5, 512 × 512, one step, loading included", [generated]);
console.log(`\nOf that generate: ${JSON.stringify(generated.result["timings"])}`);

const opened: number[] = [];
for (let i = 0; i < repeats * 4; i++) {
  const started = performance.now();
  const file = await SafetensorsFile.open(sdxl);
  opened.push(performance.now() - started);
  await file.close();
}
console.log(`\nOpening the SDXL checkpoint in a running process: ${median(opened).toFixed(1)} ms.`);

const file = await SafetensorsFile.open(sdxl);
await file.close();
const ranges = Array.from(file.tensors.values(), ({ dtype, offset, length }) => ({ path: sdxl, dtype, offset, length }));
const hashers = { "add-on": chooseHasher(), "node:crypto": new CryptoHasher() };
const times: Record<keyof typeof hashers, number[]> = { "add-on": [], "node:crypto": [] };
for (let i = 0; i < Math.min(repeats, 3); i++) {
  for (const name of ["add-on", "node:crypto"] as const) {
    const started = performance.now();
    await hashers[name].digest(ranges);
    times[name].push(performance.now() - started);
  }
}
const [native, crypto] = [median(times["add-on"]), median(times["node:crypto"])];
console.log(
  `\nHashing it (MD5 of each weight, NaN and infinite values counted): add-on ${native.toFixed(0)} ms, node:crypto ${crypto.toFixed(0)} ms, ` +
    `ratio ${(crypto / native).toFixed(1)}.`,
);
