import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ENGINE_FILE } from "../../formats/engine-bundle.ts";
import { fingerprintOfFiles } from "../../formats/fingerprint.ts";
import { isNumericDtype, toFloat32 } from "../../formats/numbers.ts";
import { RandomAccessFile } from "../../formats/random-access-file.ts";
import type { BaseDescription, RefittableBaseWeight } from "../../lora/base.ts";
import type { BaseReader } from "../../lora/read-delta.ts";
import { ARCHITECTURE_LABEL, type Architecture } from "../../models/architecture.ts";
import type { Checkpoint, Weight } from "../../models/checkpoint.ts";
import { describeCheckpoint, type DescribedArchitecture } from "../../models/full-size.ts";
import { openCheckpoint } from "../../models/open-checkpoint.ts";
import { baseReader, describeBase } from "../base-description.ts";
import { openBundle } from "../engine-cache.ts";
import { matrixNorm } from "./element-statistics.ts";

/** A model that changes are matched with and measured against. */
export class InspectionBase {
  /** Absent for a published layout. */
  readonly path?: string;
  readonly description: BaseDescription;
  /** Absent where there are no numbers: a published layout. */
  readonly read?: BaseReader;
  readonly #weights: ReadonlyMap<string, RefittableBaseWeight>;
  readonly #norms = new Map<string, Promise<number>>();

  /** @param numbers absent for a published layout */
  constructor(description: BaseDescription, numbers?: { readonly path: string; readonly read: BaseReader }) {
    this.description = description;
    if (numbers) {
      this.path = numbers.path;
      this.read = numbers.read;
    }
    this.#weights = new Map(description.weights.map((weight) => [weight.name, weight]));
  }

  /** Opens an engine bundle's folder or a checkpoint. Throws what `openBundle` and `openCheckpoint` throw. */
  static async open(path: string): Promise<InspectionBase> {
    if (await isFile(join(path, ENGINE_FILE))) {
      const opened = await openBundle(path);
      return new InspectionBase(describeBase(opened), { path, read: baseReader(opened) });
    }
    const checkpoint = await openCheckpoint(path);
    const description = describeOpened(checkpoint, await fingerprintOfFiles(checkpoint.files));
    return new InspectionBase(description, { path, read: weightReader(checkpoint) });
  }

  /** The published layout of an architecture: names and shapes without numbers; undefined where none is described here. */
  static published(architecture: Architecture): InspectionBase | undefined {
    if (!PUBLISHED.has(architecture)) return undefined;
    const checkpoint = describeCheckpoint(architecture as DescribedArchitecture);
    return new InspectionBase({ ...describeOpened(checkpoint, ""), name: ARCHITECTURE_LABEL[architecture] });
  }

  weight(name: string): RefittableBaseWeight | undefined {
    return this.#weights.get(name);
  }

  /** The Frobenius norm of a weight; undefined where the base has no such weight or no numbers. */
  norm(name: string): Promise<number> | undefined {
    if (!this.read || !this.#weights.has(name)) return undefined;
    let norm = this.#norms.get(name);
    if (!norm) this.#norms.set(name, (norm = this.read(name).then(matrixNorm)));
    return norm;
  }
}

const PUBLISHED: ReadonlySet<Architecture> = new Set<DescribedArchitecture>(["sd1", "sd2", "sdxl", "sdxl-refiner"]);

function describeOpened({ path, architecture, configuration, components }: Checkpoint, fingerprint: string): BaseDescription {
  const weights = Array.from(components).flatMap(([component, table]) =>
    Array.from(table.values(), ({ name, shape }) => ({ name, shape, component })),
  );
  return { name: path, architecture, configuration, fingerprint, weights };
}

function weightReader({ components }: Checkpoint): BaseReader {
  const weights = new Map<string, Weight>(Array.from(components.values()).flatMap((table) => Array.from(table)));
  return async (name) => {
    const { file, offset, length, dtype } = weights.get(name)!;
    if (!isNumericDtype(dtype)) throw new Error(`A weight of dtype ${dtype} has been let through.`);
    const source = await RandomAccessFile.open(file);
    try {
      return toFloat32(await source.readBytes(offset, length), dtype);
    } finally {
      await source.close();
    }
  };
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}
