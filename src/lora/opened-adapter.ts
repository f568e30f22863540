import type { BaseDescription } from "./base.ts";
import type { WeightChange } from "./delta.ts";
import { isDeltaFile } from "./load-adapter.ts";
import { LoraFile } from "./lora-file.ts";
import { prepareDelta, type DeltaReport, type PreparedDelta } from "./make-delta.ts";
import { OpenedDelta, type BaseReader } from "./read-delta.ts";

/** A LoRA or delta whose changes are read one weight at a time, for jobs that must not hold all of them in memory. */
export interface OpenedAdapter {
  /** The weights that it changes -> their shapes. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** The change of one of them in fp32; undefined where what the file holds cannot be used, which the report then says. */
  read(name: string): Promise<WeightChange | undefined>;
  /** What became of the file's modules. Complete once all changes have been read; throws "lora.noChange" where none could be used. */
  report(): DeltaReport;
  close(): Promise<void>;
}

/** Opens what a person calls a LoRA, a LoRA's file or a delta's. Throws what `loadAdapter` throws, before or after the changes are read. */
export async function openAdapter(path: string, base: BaseDescription, readBase: BaseReader, signal?: AbortSignal): Promise<OpenedAdapter> {
  if (await isDeltaFile(path)) return new DeltaAdapter(await OpenedDelta.open(path, base, readBase));
  const lora = await LoraFile.open(path);
  try {
    return new LoraAdapter(await prepareDelta(lora, base, 1, { signal }));
  } catch (error) {
    await lora.close();
    throw error;
  }
}

class LoraAdapter implements OpenedAdapter {
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly #prepared: PreparedDelta;
  readonly #weights: ReadonlyMap<string, PreparedDelta["weights"][number]>;

  constructor(prepared: PreparedDelta) {
    this.#prepared = prepared;
    this.#weights = new Map(prepared.weights.map((weight) => [weight.name, weight]));
    this.shapes = new Map(prepared.weights.map(({ name, shape }) => [name, shape]));
  }

  read(name: string): Promise<WeightChange> {
    return this.#weights.get(name)!.readChange(this.#prepared.lora);
  }

  report(): DeltaReport {
    return this.#prepared.report;
  }

  close(): Promise<void> {
    return this.#prepared.lora.close();
  }
}

class DeltaAdapter implements OpenedAdapter {
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly #opened: OpenedDelta;

  constructor(opened: OpenedDelta) {
    this.#opened = opened;
    this.shapes = opened.shapes;
  }

  read(name: string): Promise<WeightChange | undefined> {
    return this.#opened.read(name);
  }

  report(): DeltaReport {
    const suspicious = this.#opened.findings();
    const left = new Set(this.#opened.unmatched.map(({ name }) => name));
    const matched = Array.from(this.shapes.keys()).filter((name) => !left.has(name));
    return { matched, unmatched: this.#opened.unmatched, suspicious };
  }

  close(): Promise<void> {
    return this.#opened.close();
  }
}
