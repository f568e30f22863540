import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ENGINE_FILE } from "../../formats/engine-bundle.ts";
import { throwIfCancelled, UserError } from "../../formats/errors.ts";
import { fingerprint } from "../../formats/fingerprint.ts";
import type { WeightArithmetic } from "../../lora/merge.ts";
import { openBundle } from "../engine-cache.ts";
import { InspectionBase } from "./inspection-base.ts";
import { heatMapTile, layerDetail } from "./layer-detail.ts";
import { fileState, OpenInspection } from "./open-inspection.ts";
import { statisticsCache } from "./statistics-cache.ts";
import type { HeatMapTile, InspectionHeader, InspectionTarget, LayerDetail, LayerStatistics, LayerTarget, TilePlace } from "./types.ts";

/** Files open at once; the one that has not been asked for longest is closed. */
const MOST_OPEN = 6;
const MOST_BASES = 2;

interface Entry {
  readonly inspection: Promise<OpenInspection>;
  users: number;
  dropped: boolean;
}

/** The files that are looked into in this process. */
export class Inspections {
  readonly #arithmetic: WeightArithmetic;
  readonly #entries = new Map<string, Entry>();
  readonly #bases = new Map<string, Promise<InspectionBase>>();

  constructor(arithmetic: WeightArithmetic) {
    this.#arithmetic = arithmetic;
  }

  /** What a file's header says. Throws a UserError for a file that cannot be read. */
  async open(target: InspectionTarget): Promise<InspectionHeader> {
    return this.use(target, (inspection) => Promise.resolve(inspection.header));
  }

  /** The numbers of some layers, by their places in the header. */
  statistics(target: LayerTarget, layers: readonly number[], signal?: AbortSignal): Promise<LayerStatistics[]> {
    return this.#useSame(target, (inspection) => inspection.statistics(layers, signal));
  }

  detail(target: LayerTarget, layer: number, signal?: AbortSignal): Promise<LayerDetail> {
    return this.#useSame(target, async (inspection) =>
      layerDetail(inspection.layer(layer), await inspection.matrix(layer), inspection.tools(signal)),
    );
  }

  tile(target: LayerTarget, layer: number, place: TilePlace): Promise<HeatMapTile> {
    return this.#useSame(target, async (inspection) => {
      const matrix = await inspection.matrix(layer);
      if (typeof matrix === "string") throw new UserError("option.invalid", matrix);
      return heatMapTile(matrix, place.level, place.x, place.y);
    });
  }

  /** Runs `body` on an opened file, which stays open until it is done. */
  async use<R>(target: InspectionTarget, body: (inspection: OpenInspection) => Promise<R>): Promise<R> {
    const state = await fileState(target.path);
    const key = JSON.stringify([target.path, state, target.base ?? null]);
    const entry = this.#entries.get(key) ?? { inspection: this.#open(target), users: 0, dropped: false };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.users++;
    try {
      return await body(await entry.inspection);
    } catch (error) {
      // What could not be opened may be the next time.
      await entry.inspection.catch(() => this.#entries.delete(key));
      throw error;
    } finally {
      entry.users--;
      await this.#drop(entry, false);
      await this.#dropOldest();
    }
  }

  /** The base opened, or found open. */
  async openBase(path: string): Promise<InspectionBase> {
    const file = await stat(path).then(
      (found) => (found.isDirectory() ? join(path, ENGINE_FILE) : path),
      () => path,
    );
    const key = `${path} ${(await stat(file).catch(() => undefined))?.mtimeMs}`;
    const known = this.#bases.get(key);
    const base = known ?? InspectionBase.open(path);
    this.#bases.delete(key);
    this.#bases.set(key, base);
    for (const oldest of [...this.#bases.keys()].slice(0, Math.max(0, this.#bases.size - MOST_BASES))) this.#bases.delete(oldest);
    base.catch(() => this.#bases.delete(key));
    return base;
  }

  async closeAll(): Promise<void> {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    for (const entry of entries) await this.#drop(entry, true);
  }

  async #open({ path, base, cache }: InspectionTarget): Promise<OpenInspection> {
    return OpenInspection.open(path, {
      base: base === undefined ? undefined : await this.openBase(base),
      arithmetic: this.#arithmetic,
      cache: cache === undefined ? undefined : statisticsCache(cache),
    });
  }

  async #useSame<R>(target: LayerTarget, body: (inspection: OpenInspection) => Promise<R>): Promise<R> {
    return this.use(target, (inspection) => {
      if (inspection.header.state === target.state) return body(inspection);
      throw new UserError("file.invalid", `${target.path} has changed since it was opened. Open it again.`);
    });
  }

  async #dropOldest(): Promise<void> {
    const excess = [...this.#entries].slice(0, Math.max(0, this.#entries.size - MOST_OPEN));
    for (const [key, entry] of excess) {
      this.#entries.delete(key);
      await this.#drop(entry, true);
    }
  }

  /** Closes an entry that is to go once nobody uses it. */
  async #drop(entry: Entry, now: boolean): Promise<void> {
    entry.dropped ||= now;
    if (!entry.dropped || entry.users > 0) return;
    const inspection = await entry.inspection.catch(() => undefined);
    await inspection?.close();
  }
}

/** The first of several bundles and checkpoints that has this fingerprint; undefined where none has. Ones that cannot be read are passed over. */
export async function findBase(wanted: string, candidates: readonly string[], signal?: AbortSignal): Promise<string | undefined> {
  for (const path of candidates) {
    throwIfCancelled(signal);
    const found = await baseFingerprint(path).catch(() => undefined);
    if (found === wanted) return path;
  }
  return undefined;
}

async function baseFingerprint(path: string): Promise<string> {
  if ((await stat(path)).isFile()) return fingerprint(path);
  return (await openBundle(path)).bundle.checkpoint.fingerprint;
}
