import { mkdir, rm } from "node:fs/promises";
import { basename } from "node:path";
import { chooseArithmetic, chooseHasher } from "../../src/engines/arithmetic.ts";
import type { Backend, BuildRequest, LoadRequest } from "../../src/engines/backend.ts";
import type { Engine } from "../../src/engines/engine.ts";
import { ENGINE_BUNDLE_VERSION, writeEngineBundle } from "../../src/formats/engine-bundle.ts";
import type { Profile } from "../../src/formats/engine-profile.ts";
import { fingerprintOfFiles } from "../../src/formats/fingerprint.ts";
import { describeBase, baseReader } from "../../src/jobs/base-description.ts";
import { openBundle, type OpenedBundle } from "../../src/jobs/engine-cache.ts";
import { loadAdapter } from "../../src/lora/load-adapter.ts";
import type { Delta } from "../../src/lora/delta.ts";
import type { Component } from "../../src/models/architecture.ts";
import type { Checkpoint } from "../../src/models/checkpoint.ts";

export interface BundleOptions {
  readonly components: readonly Component[];
  readonly profile: (component: Component) => Profile;
  readonly precision?: "F16" | "BF16" | "F32";
  readonly plan?: BuildRequest["plan"];
  readonly signal?: AbortSignal;
  readonly onProgress?: (stage: string, fraction: number) => void;
}

/** Builds a bundle as the export job does, without its messages. */
export async function buildBundle(backend: Backend, checkpoint: Checkpoint, folder: string, options: BundleOptions): Promise<OpenedBundle> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const { components, profile, precision, plan, signal, onProgress } = options;
  const built = await backend.build({
    checkpoint,
    components,
    precision,
    profileOf: profile,
    folder,
    hasher: chooseHasher(),
    plan,
    signal,
    onProgress: onProgress ?? (() => undefined),
  });
  await writeEngineBundle(folder, {
    formatVersion: ENGINE_BUNDLE_VERSION,
    name: basename(folder),
    architecture: checkpoint.architecture,
    configuration: { ...checkpoint.configuration },
    precision: "fp16",
    backend: { name: backend.name, version: backend.version() },
    ...(built.computeCapability !== undefined && { computeCapability: built.computeCapability }),
    components: built.components,
    weightFiles: [...built.weightFiles],
    checkpoint: { name: basename(checkpoint.path), bytes: 0, fingerprint: await fingerprintOfFiles(checkpoint.files) },
  });
  return openBundle(folder);
}

export function loadBundle(backend: Backend, { folder, bundle }: OpenedBundle, options: Partial<LoadRequest> = {}): Promise<Engine> {
  const components = bundle.components.map(({ component }) => component as Component);
  return backend.load({ folder, bundle, components, arithmetic: chooseArithmetic(), ...options });
}

/** A LoRA's or delta's file made ready for a bundle. */
export async function loadDelta(opened: OpenedBundle, file: string): Promise<Delta> {
  return (await loadAdapter(file, describeBase(opened), baseReader(opened))).delta;
}
