/*
 * emoji-xl as TensorRT engines, which every GPU test begins with. EMOJI_XL is the model's folder, GPU_REFERENCE what ONNX Runtime computed
 * (scripts/gpu/make-reference.ts), GPU_WORK a folder that all files of a run share: the engines are built once, by whichever needs them first.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Engine, Outputs } from "../../src/engines/engine.ts";
import { tensorRtBackend } from "../../src/engines/tensorrt/backend.ts";
import { ENGINE_FILE } from "../../src/formats/engine-bundle.ts";
import type { Profile } from "../../src/formats/engine-profile.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { openBundle, type OpenedBundle } from "../../src/jobs/engine-cache.ts";
import type { Delta, StackEntry, WeightChange } from "../../src/lora/delta.ts";
import type { Checkpoint } from "../../src/models/checkpoint.ts";
import { openCheckpoint } from "../../src/models/open-checkpoint.ts";
import { buildBundle, loadBundle, loadDelta, type BundleOptions } from "./bundle.ts";
import { caseInputs, cosine, STACKS } from "./cases.ts";

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is needed: run npm run test:gpu, or scripts/gpu/run-all.sh.`);
  return value;
}

export const EMOJI_FOLDER = required("EMOJI_XL");
export const CHECKPOINT_FILE = join(EMOJI_FOLDER, "emoji-xl.safetensors");
export const REFERENCE_FILE = required("GPU_REFERENCE");
/** For bundles; gone after the run. */
export const WORK = required("GPU_WORK");
/** Kept between runs where the environment says so. */
export const TIMING_CACHE = process.env["GPU_TIMING_CACHE"] ?? join(WORK, "timing");

export const axis = (min: number, opt: number, max: number) => ({ min, opt, max });
export const DYNAMIC: Profile = {
  static: false,
  batch: axis(1, 1, 4),
  height: axis(64, 128, 256),
  width: axis(64, 128, 256),
  context: axis(77, 77, 154),
};
export const STATIC: Profile = {
  static: true,
  batch: axis(1, 1, 1),
  height: axis(128, 128, 128),
  width: axis(128, 128, 128),
  context: axis(77, 77, 77),
};

/** emoji-xl, its engines, its LoRAs and what they are compared with; one for each test file. */
export class Emoji {
  readonly checkpoint: Checkpoint;
  /** All components with dynamic shapes. */
  readonly opened: OpenedBundle;
  readonly engine: Engine;
  readonly reference: SafetensorsFile;
  readonly #deltas: ReadonlyMap<string, Delta>;

  private constructor(
    checkpoint: Checkpoint,
    opened: OpenedBundle,
    engine: Engine,
    reference: SafetensorsFile,
    deltas: ReadonlyMap<string, Delta>,
  ) {
    this.checkpoint = checkpoint;
    this.opened = opened;
    this.engine = engine;
    this.reference = reference;
    this.#deltas = deltas;
  }

  static async load(): Promise<Emoji> {
    const checkpoint = await openCheckpoint(CHECKPOINT_FILE);
    const opened = await dynamicBundle(checkpoint);
    const engine = await loadBundle(tensorRtBackend, opened);
    const files = new Set(Object.values(STACKS).flatMap((stack) => stack.map(([file]) => file)));
    const deltas = new Map<string, Delta>();
    for (const file of files) deltas.set(file, await loadDelta(opened, join(EMOJI_FOLDER, file)));
    return new Emoji(checkpoint, opened, engine, await SafetensorsFile.open(REFERENCE_FILE), deltas);
  }

  /** Builds another bundle of it, of all components and dynamic shapes unless told otherwise. */
  build(name: string, options: Partial<BundleOptions> = {}): Promise<OpenedBundle> {
    return buildEmoji(this.checkpoint, name, options);
  }

  stackOf(name: string): StackEntry[] {
    return STACKS[name]!.map(([file, scale]) => ({ delta: this.#deltas.get(file)!, scale }));
  }

  async unetOutput(on: Engine = this.engine): Promise<Float32Array> {
    return outputOf(await on.run("unet", caseInputs("unet")));
  }

  async outputOf(stack: string, on: Engine = this.engine): Promise<Float32Array> {
    await on.setStack(this.stackOf(stack));
    return this.unetOutput(on);
  }

  /** A delta of changes that are made here. */
  handmade(name: string, changes: ReadonlyMap<string, WeightChange & { readonly shape: readonly number[] }>): Delta {
    const { architecture, bundle } = this.opened;
    return { file: name, architecture, baseFingerprint: bundle.checkpoint.fingerprint, loraFile: name, strength: 1, changes };
  }

  async close(): Promise<void> {
    await this.engine.unload();
    await this.reference.close();
  }
}

function outputOf(outputs: Outputs): Float32Array {
  return outputs["output"]!.data;
}

async function dynamicBundle(checkpoint: Checkpoint): Promise<OpenedBundle> {
  const folder = join(WORK, "dynamic");
  if (existsSync(join(folder, ENGINE_FILE))) return openBundle(folder);
  const started = performance.now();
  const opened = await buildEmoji(checkpoint, "dynamic", {});
  console.log(`# emoji-xl, five dynamic engines, built in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return opened;
}

function buildEmoji(checkpoint: Checkpoint, name: string, { plan, ...others }: Partial<BundleOptions>): Promise<OpenedBundle> {
  return buildBundle(tensorRtBackend, checkpoint, join(WORK, name), {
    components: [...checkpoint.components.keys()],
    profile: () => DYNAMIC,
    plan: { timingCacheFolder: TIMING_CACHE, ...plan },
    ...others,
  });
}

export function assertSameBits(actual: Float32Array, expected: Float32Array, what: string): void {
  assert.ok(
    Buffer.from(actual.buffer).equals(Buffer.from(expected.buffer)),
    `${what}: the bits differ (cosine ${cosine(actual, expected)})`,
  );
}
