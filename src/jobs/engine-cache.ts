import { resolve } from "node:path";
import type { Component } from "../models/architecture.ts";
import { isArchitecture, type Architecture } from "../models/architecture.ts";
import type { ModelConfiguration } from "../models/configuration.ts";
import { modelConfigurationSchema } from "../models/configuration-schema.ts";
import { formatBytes } from "../formats/atomic-file.ts";
import { readEngineBundle, type EngineBundle } from "../formats/engine-bundle.ts";
import { throwIfCancelled, UserError } from "../formats/errors.ts";
import type { WeightArithmetic } from "../lora/merge.ts";
import { CryptoHasher } from "../engines/crypto-hasher.ts";
import type { Backend as EngineBackend } from "../engines/backend.ts";
import type { Engine } from "../engines/engine.ts";
import { Mutex } from "../engines/mutex.ts";
import type { WeightHasher } from "../engines/weight-hashes.ts";
import { AdapterCache } from "./adapter-cache.ts";
import { backendOfBundle } from "./backends.ts";
import { findBundle } from "./bundle-path.ts";
import type { JobContext } from "./context.ts";
import { LoadedStack } from "./loaded-stack.ts";
import type { Backend, Base } from "./options.ts";
import { stageProgress } from "./timing.ts";

/** A bundle's description, checked, without its engines. */
export interface OpenedBundle {
  readonly folder: string;
  readonly bundle: EngineBundle;
  readonly architecture: Architecture;
  readonly configuration: ModelConfiguration;
}

/** A bundle whose engines are in memory. */
export interface LoadedBundle extends OpenedBundle {
  readonly engine: Engine;
  readonly adapters: AdapterCache;
  readonly stack: LoadedStack;
  /** A stack belongs to the job that set it: what changes the engine's stack and then runs it does so in here. */
  readonly jobs: Mutex;
}

/** Opens the bundle a person means (see `findBundle`). Throws "bundle.invalid" where its description is not to be used. */
export async function openBundle(path: string): Promise<OpenedBundle> {
  const folder = resolve(await findBundle(path));
  const bundle = await readEngineBundle(folder);
  if (!isArchitecture(bundle.architecture)) {
    throw new UserError(
      "bundle.invalid",
      `${folder} is an engine of ${bundle.architecture}, which this version does not know. Update the extension.`,
    );
  }
  const configuration = modelConfigurationSchema.safeParse(bundle.configuration);
  if (!configuration.success) {
    throw new UserError("bundle.invalid", `${folder}: the model's configuration in engine.json is not valid. Export the checkpoint again.`);
  }
  return { folder, bundle, architecture: bundle.architecture, configuration: configuration.data };
}

/** ": plans 5.2 GB, …" of an engine on a GPU. */
function gpuWords(engine: Engine): string {
  const { gpu } = engine.memory();
  if (!gpu) return "";
  const [plan, contexts, base, free, total] = [gpu.plan, gpu.contexts, gpu.base, gpu.free, gpu.total].map(formatBytes);
  return `: plans ${plan}, contexts ${contexts}, base ${base} on the GPU, of which ${free} of ${total} are free`;
}

/** The engines that a process holds, one for each bundle, and what computes on their weights. */
export class EngineCache {
  readonly arithmetic: WeightArithmetic;
  readonly hasher: WeightHasher;
  readonly #loaded = new Map<string, { readonly bundle: LoadedBundle; readonly fingerprint: string; readonly base: Base }>();
  /** Bundles being loaded: two jobs that want the same one share it. */
  readonly #loading = new Map<string, Promise<LoadedBundle>>();

  constructor(arithmetic: WeightArithmetic, hasher: WeightHasher = new CryptoHasher()) {
    this.arithmetic = arithmetic;
    this.hasher = hasher;
  }

  /**
   * The loaded bundle; loads it first where it is not, where it has been exported again since, or where its base weights are kept in
   * another place than `base` says.
   */
  async load(path: string, backend: Backend, context: JobContext, base: Base = "auto"): Promise<LoadedBundle> {
    const opened = await openBundle(path);
    const { folder } = opened;
    const chosen = backendOfBundle(folder, opened.bundle.backend.name, backend);
    const fingerprint = JSON.stringify(opened.bundle);
    for (;;) {
      throwIfCancelled(context.signal);
      const known = this.#loaded.get(folder);
      if (known?.fingerprint === fingerprint && (base === "auto" || known.base === base)) return known.bundle;
      const running = this.#loading.get(folder);
      if (!running) break;
      // That the job which began to load was cancelled is not this one's failure.
      await running.catch((error: unknown) => {
        if (!(error instanceof UserError && error.code === "cancelled")) throw error;
      });
    }
    const loading = this.#load(opened, { fingerprint, base }, chosen, context).finally(() => this.#loading.delete(folder));
    this.#loading.set(folder, loading);
    return loading;
  }

  async #load(
    opened: OpenedBundle,
    key: { readonly fingerprint: string; readonly base: Base },
    backend: EngineBackend,
    context: JobContext,
  ): Promise<LoadedBundle> {
    const { folder, bundle } = opened;
    await this.unload(folder);
    const report = stageProgress(context, "loading");
    const engine = await backend.load({
      folder,
      bundle,
      components: bundle.components.map(({ component }) => component as Component),
      arithmetic: this.arithmetic,
      basePlacement: key.base,
      signal: context.signal,
      onProgress: (component, fraction) => report(fraction, 1, component),
    });
    context.log("info", `loaded ${folder}${gpuWords(engine)}`);
    const adapters = new AdapterCache(opened);
    const loaded = { ...opened, engine, adapters, stack: new LoadedStack(engine, adapters), jobs: new Mutex() };
    this.#loaded.set(folder, { bundle: loaded, ...key });
    return loaded;
  }

  /** The bundles in memory. */
  loaded(): readonly LoadedBundle[] {
    return Array.from(this.#loaded.values(), ({ bundle }) => bundle);
  }

  /** A bundle that is in memory. */
  find(folder: string): LoadedBundle | undefined {
    return this.#loaded.get(resolve(folder))?.bundle;
  }

  /** Frees a bundle's engines; false where it was not loaded. */
  async unload(folder: string): Promise<boolean> {
    const known = this.#loaded.get(resolve(folder));
    if (!known) return false;
    this.#loaded.delete(resolve(folder));
    await known.bundle.engine.unload();
    return true;
  }

  async unloadAll(): Promise<void> {
    for (const folder of Array.from(this.#loaded.keys())) await this.unload(folder);
  }
}
