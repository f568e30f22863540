import type { StackEntry, WeightChange } from "./delta.ts";
import { matrixSize, type WeightArithmetic } from "./merge.ts";
import type { OpenedAdapter } from "./opened-adapter.ts";
import { planStack } from "./stack.ts";

/** One adapter of a stack that is baked. The same adapter may stand in it twice. */
export interface BakedAdapter extends Pick<StackEntry, "scale" | "weightScale"> {
  /** For messages. */
  readonly path: string;
  readonly adapter: OpenedAdapter;
}

/** The weights of a checkpoint with a stack merged in, one at a time: the same numbers that an engine has with that stack. */
export class BakedWeights {
  readonly #stack: readonly BakedAdapter[];
  readonly #arithmetic: WeightArithmetic;

  constructor(stack: readonly BakedAdapter[], arithmetic: WeightArithmetic) {
    this.#stack = stack;
    this.#arithmetic = arithmetic;
  }

  /** Names of the weights that the stack reaches. */
  names(): Set<string> {
    return new Set(this.#stack.flatMap(({ adapter }) => [...adapter.shapes.keys()]));
  }

  /**
   * W_base + Σ scale·Δ in fp32; undefined where nothing of the stack changes the weight.
   * @param readBase gives the base's values; called only where there is something to merge
   */
  async merge(
    name: string,
    shape: readonly number[],
    readBase: () => Promise<Float32Array>,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array<ArrayBuffer> | undefined> {
    // Read once an adapter, so that one that stands in the stack twice is one term at the sum of its scales, as in an engine.
    const changes = new Map<OpenedAdapter, (WeightChange & { readonly shape: readonly number[] }) | undefined>();
    const entries = [];
    for (const { path, adapter, ...scales } of this.#stack) {
      if (!adapter.shapes.has(name)) continue;
      if (!changes.has(adapter)) {
        const read = await adapter.read(name);
        changes.set(adapter, read && { ...read, shape });
      }
      const change = changes.get(adapter);
      if (change) entries.push({ ...scales, delta: { file: path, changes: new Map([[name, change]]) } });
    }
    const [planned] = planStack([], entries).merge;
    if (!planned) return undefined;
    const base = await readBase();
    const out = new Float32Array(base.length);
    await this.#arithmetic.merge([{ base, ...matrixSize(shape), shape, terms: planned.terms, out }], signal);
    return out;
  }
}
