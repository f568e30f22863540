import { stat } from "node:fs/promises";
import { UserError } from "../../formats/errors.ts";
import { isArchitecture } from "../../models/architecture.ts";
import { SafetensorsFile } from "../../formats/safetensors.ts";
import type { WeightArithmetic } from "../../lora/merge.ts";
import { describeFile } from "../describe.ts";
import type { FileSummary } from "../results.ts";
import { contentHash } from "./content-hash.ts";
import { InspectionBase } from "./inspection-base.ts";
import type { LayerMatrix } from "./layer-matrix.ts";
import { layerMatrix, layerStatistics, type StatisticsTools } from "./layer-statistics.ts";
import { openDelta, openLora, openTensors, type Layer, type OpenedLayers } from "./layers.ts";
import type { StatisticsCache } from "./statistics-cache.ts";
import type { InspectionHeader, LayerStatistics } from "./types.ts";

/** Layers whose factors or values stay in memory: the one that is looked at and the one before. */
const MATRICES_KEPT = 2;

export interface OpenOptions {
  /** An engine bundle's folder or a checkpoint. */
  readonly base?: InspectionBase | undefined;
  readonly arithmetic: WeightArithmetic;
  readonly cache?: StatisticsCache | undefined;
}

/** Size and time of a file: tells whether it is still the one that was opened. Throws "file.missing". */
export async function fileState(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw new UserError("file.missing", `${path} does not exist.`);
  return `${found.size}:${found.mtimeMs}`;
}

/** A file that is looked into: its header is known, values are read on demand, one layer at a time. */
export class OpenInspection {
  readonly header: InspectionHeader;
  readonly #opened: OpenedLayers;
  readonly #base: InspectionBase | undefined;
  readonly #options: OpenOptions;
  readonly #matrices = new Map<number, Promise<LayerMatrix | string>>();
  readonly #rows = new Map<string, LayerStatistics>();
  #content: Promise<string> | undefined;
  #known: Promise<void> | undefined;

  private constructor(header: InspectionHeader, opened: OpenedLayers, base: InspectionBase | undefined, options: OpenOptions) {
    this.header = header;
    this.#opened = opened;
    this.#base = base;
    this.#options = options;
  }

  /** Reads headers alone. Throws what is wrong with the file, in one sentence. */
  static async open(path: string, options: OpenOptions): Promise<OpenInspection> {
    const state = await fileState(path);
    const summary = await describeFile(path);
    const file = await SafetensorsFile.open(path);
    await file.close();
    const base = options.base ?? publishedBase(summary);
    const opened = await openLayers(summary, path, base);
    const { architecture, architectureLabel } = summary;
    const header: InspectionHeader = {
      path,
      kind: headerKind(summary),
      ...(architecture && { architecture }),
      ...(architectureLabel !== undefined && { architectureLabel }),
      bytes: file.size,
      state,
      metadata: Object.fromEntries(file.metadata),
      notes: [...opened.notes, ...(summary.problem === undefined ? [] : [summary.problem])],
      layers: opened.layers.map(describeLayer),
      ...(options.base && {
        base: {
          path: options.base.path!,
          name: options.base.description.name,
          weights: opened.layers.filter(({ weight }) => weight).length,
        },
      }),
      ...(opened.baseFingerprint !== undefined && { baseFingerprint: opened.baseFingerprint }),
    };
    return new OpenInspection(header, opened, base, options);
  }

  get layers(): readonly Layer[] {
    return this.#opened.layers;
  }

  get base(): InspectionBase | undefined {
    return this.#base;
  }

  /** What numbers of this file are computed with. */
  tools(signal: AbortSignal | undefined): StatisticsTools {
    return { opened: this.#opened, base: this.#base, arithmetic: this.#options.arithmetic, signal };
  }

  /** A layer by its place in the header; throws a RangeError where there is none. */
  layer(index: number): Layer {
    const layer = this.#opened.layers[index];
    if (!layer) throw new RangeError(`There is no layer ${index}.`);
    return layer;
  }

  /** The numbers of layers, computed or known from before; each is kept, on disk once all are there. */
  async statistics(indices: readonly number[], signal: AbortSignal | undefined): Promise<LayerStatistics[]> {
    await this.#readCache(signal);
    const rows: LayerStatistics[] = [];
    for (const index of indices) {
      const layer = this.layer(index);
      let row = this.#rows.get(layer.name);
      if (!row) {
        row = await layerStatistics(layer, this.tools(signal));
        this.#rows.set(layer.name, row);
        if (this.#rows.size === this.#opened.layers.length) await this.#writeCache(signal);
      }
      rows.push(row);
    }
    return rows;
  }

  /** A layer as a matrix, or why it is none. */
  async matrix(index: number): Promise<LayerMatrix | string> {
    const known = this.#matrices.get(index);
    const matrix = known ?? layerMatrix(this.layer(index), this.tools(undefined));
    // Last in the map is most recently used.
    this.#matrices.delete(index);
    this.#matrices.set(index, matrix);
    for (const oldest of [...this.#matrices.keys()].slice(0, Math.max(0, this.#matrices.size - MATRICES_KEPT)))
      this.#matrices.delete(oldest);
    return matrix;
  }

  /** What numbers of this file depend on: its SHA-256, and the base's fingerprint. */
  async contentKey(signal: AbortSignal | undefined): Promise<readonly string[]> {
    this.#content ??= contentHash(this.header.path, signal).catch((error: unknown) => {
      this.#content = undefined;
      throw error;
    });
    const { architecture = "", fingerprint = "" } = this.#base?.description ?? {};
    return [await this.#content, architecture, fingerprint];
  }

  close(): Promise<void> {
    return this.#opened.close();
  }

  /** Reads what is known from before, once. */
  #readCache(signal: AbortSignal | undefined): Promise<void> {
    this.#known ??= this.#readKnown(signal).catch((error: unknown) => {
      this.#known = undefined;
      throw error;
    });
    return this.#known;
  }

  async #readKnown(signal: AbortSignal | undefined): Promise<void> {
    const { cache } = this.#options;
    if (!cache) return;
    for (const row of (await cache.read(await this.contentKey(signal))) ?? []) this.#rows.set(row.name, row);
  }

  async #writeCache(signal: AbortSignal | undefined): Promise<void> {
    await this.#options.cache?.write(await this.contentKey(signal), Array.from(this.#rows.values()));
  }
}

/** What a LoRA or delta is matched with where no base is given. */
function publishedBase({ kind, architecture }: FileSummary): InspectionBase | undefined {
  if (kind !== "lora" && kind !== "delta") return undefined;
  return isArchitecture(architecture ?? "") ? InspectionBase.published(architecture!) : undefined;
}

function openLayers(summary: FileSummary, path: string, base: InspectionBase | undefined): Promise<OpenedLayers> {
  if (summary.kind === "lora") return openLora(path, base);
  return summary.kind === "delta" ? openDelta(path, base) : openTensors(path);
}

function headerKind({ kind }: FileSummary): InspectionHeader["kind"] {
  return kind === "lora" || kind === "delta" || kind === "checkpoint" ? kind : "safetensors";
}

function describeLayer({ name, component, block, role, shape, dtype, kind, rank, alpha }: Layer): InspectionHeader["layers"][number] {
  return {
    name,
    component,
    block,
    role,
    dtype,
    kind,
    ...(shape && { shape }),
    ...(rank !== undefined && { rank }),
    ...(alpha !== undefined && { alpha }),
  };
}
