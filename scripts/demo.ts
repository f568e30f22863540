/*
 * The demo: exports the small model in demo/emoji-xl, makes deltas of its two LoRAs, and draws each prompt with the base, with one
 * LoRA, with two at chosen strengths, and with the base again, whose picture must be the first one byte for byte.
 */
import { readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { chooseArithmetic, chooseHasher } from "../src/engines/arithmetic.ts";
import { readPng, writePng } from "../src/formats/png.ts";
import type { JobContext } from "../src/jobs/context.ts";
import { EngineCache } from "../src/jobs/engine-cache.ts";
import type { LoraReference } from "../src/jobs/options.ts";
import { runJob } from "../src/jobs/run.ts";
import { contactSheet, type SheetCell } from "../src/pipeline/contact-sheet.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const model = join(root, "demo", "emoji-xl");
const out = join(root, "demo", "out");

const PROMPTS: readonly (readonly [prompt: string, seed: number])[] = [
  ["red apple", 42],
  ["penguin", 7],
  ["soccer ball", 0],
  ["umbrella", 1234],
  ["crown", 99],
  ["rocket", 31],
];

interface Variant {
  readonly name: string;
  readonly caption: string;
  readonly lora: readonly LoraReference[];
}

const engines = new EngineCache(chooseArithmetic(), chooseHasher());
const context: JobContext = {
  progress: () => {},
  log: (level, message) => {
    if (level === "error") process.stderr.write(`${message}\n`);
  },
};

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function timed<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
  const started = performance.now();
  const result = await work();
  say(`${what.padEnd(44)} ${(performance.now() - started).toFixed(0).padStart(6)} ms`);
  return result;
}

function shown(path: string): string {
  return relative(process.cwd(), path);
}

async function main(): Promise<void> {
  rmSync(out, { recursive: true, force: true });
  const engine = join(out, "emoji-xl");
  const checkpoint = join(model, "emoji-xl.safetensors");
  await timed("export the checkpoint", () => runJob("export", { checkpoint, output: engine }, context, engines));
  const delta = (name: string) =>
    timed(`make a delta of ${name}`, () => runJob("delta", { engine, lora: join(model, `${name}.safetensors`) }, context, engines));
  const ink = await delta("ink");
  const hue = await delta("opposite-hue");
  const variants: readonly Variant[] = [
    { name: "base", caption: "no LoRA", lora: [] },
    { name: "ink", caption: "ink x 1", lora: [{ file: ink.file, scale: 1 }] },
    {
      name: "both",
      caption: "ink x 0.4, opposite-hue x 0.7",
      lora: [
        { file: ink.file, scale: 0.4 },
        { file: hue.file, scale: 0.7 },
      ],
    },
    { name: "base-again", caption: "no LoRA again", lora: [] },
  ];
  const cells: SheetCell[] = [];
  for (const [prompt, seed] of PROMPTS) cells.push(...(await drawPrompt(engine, prompt, seed, variants)));
  const sheet = join(out, "contact-sheet.png");
  await writePng(sheet, contactSheet(cells, variants.length));
  await engines.unloadAll();
  say(`\nEach prompt's last picture is its first one, byte for byte.\nPictures: ${shown(out)}\nContact sheet: ${shown(sheet)}`);
}

async function drawPrompt(engine: string, prompt: string, seed: number, variants: readonly Variant[]): Promise<SheetCell[]> {
  const cells: SheetCell[] = [];
  const files: string[] = [];
  for (const { name, caption, lora } of variants) {
    const output = join(out, `${prompt.replaceAll(" ", "-")}_${name}.png`);
    const result = await runJob("generate", { engine, prompt, seed, cfg: 4, schedule: "leading", lora, output }, context, engines);
    const { stack, step, total } = result.timings;
    say(`${`${prompt}, ${name}`.padEnd(44)} ${total.toFixed(0).padStart(6)} ms  (stack ${stack.toFixed(1)}, step ${step.toFixed(1)})`);
    cells.push({ image: await readPng(output), caption: `${prompt}: ${caption}` });
    files.push(output);
  }
  if (!readFileSync(files[0]!).equals(readFileSync(files.at(-1)!))) {
    throw new Error(`${shown(files.at(-1)!)} differs from ${shown(files[0]!)}: the base did not come back.`);
  }
  return cells;
}

await main();
