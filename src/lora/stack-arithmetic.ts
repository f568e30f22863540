import { throwIfCancelled } from "../formats/errors.ts";
import type { FactoredChange, FactoredPart, LinearChange } from "./delta.ts";
import { blockSize, elementsOf, type WeightBlock } from "./factors.ts";
import { applyDora } from "./kinds/dora.ts";
import { isDecomposed, isLinearKind, kindOf } from "./kinds/kinds.ts";
import type { UpdateKind } from "./kinds/kind.ts";
import { shapesOf } from "./kinds/scale.ts";
import { MatrixProduct } from "./matrix-product.ts";
import type { LinearArithmetic, MergeJob, MergeTerm, StackJob, WeightArithmetic } from "./merge.ts";

/**
 * A stack's whole arithmetic: what is linear goes to another arithmetic, all weights at once; a weight with a factored change is
 * computed step by step, in the stack's order. Neighbours that are linear stay one step.
 */
export class StackArithmetic implements WeightArithmetic {
  readonly #linear: LinearArithmetic;
  readonly #product: MatrixProduct;

  constructor(linear: LinearArithmetic) {
    this.#linear = linear;
    this.#product = new MatrixProduct(linear);
  }

  async merge(jobs: readonly StackJob[], signal?: AbortSignal): Promise<void> {
    await this.#linear.merge(jobs.filter(isLinearJob), signal);
    for (const job of jobs) {
      if (isLinearJob(job)) continue;
      throwIfCancelled(signal);
      await this.#mergeInOrder(job, signal);
    }
    this.#product.release();
  }

  async #mergeInOrder(job: StackJob, signal: AbortSignal | undefined): Promise<void> {
    let base = job.base;
    let linear: MergeTerm[] = [];
    const settle = async () => {
      if (base !== job.out || linear.length > 0) {
        const from = base === job.out ? base.slice() : base;
        await this.#linear.merge([{ ...job, base: from, terms: linear }], signal);
      }
      base = job.out;
      linear = [];
    };
    for (const { change, scale } of job.terms) {
      if (change.kind !== "factored") linear.push({ change, scale });
      else if (isLinearChange(change)) {
        linear.push(await this.#expand(change, scale, job.shape ?? [job.rows, job.columns]));
      } else {
        await settle();
        await this.#apply(change, scale, job);
      }
    }
    await settle();
  }

  /** A linear factored change of a weight of this shape as the change itself. */
  async #expand({ parts, strength }: FactoredChange, scale: number, shape: readonly number[]): Promise<MergeTerm> {
    const size = blockSize(shape);
    const [first, ...others] = parts;
    if (first && others.length === 0 && !first.rows) {
      const values = await kindOfPart(first).change!(first.factors, size, this.#product);
      return { change: { kind: "dense", values }, scale: scale * strength };
    }
    const values = new Float32Array(elementsOf(size));
    for (const part of parts) {
      const block = rowsOf({ ...size, values }, part);
      const own = await kindOfPart(part).change!(part.factors, block, this.#product);
      for (let i = 0; i < own.length; i++) block.values[i]! += strength * own[i]!;
    }
    return { change: { kind: "dense", values }, scale };
  }

  async #apply(change: FactoredChange, scale: number, { out, shape, rows, columns }: StackJob): Promise<void> {
    const strength = change.strength * scale;
    const whole = { ...blockSize(shape ?? [rows, columns]), values: out };
    for (const part of change.parts) {
      const kind = kindOfPart(part);
      const block = rowsOf(whole, part);
      if (isDecomposed(part.factors)) await applyDora(kind, part.factors, block, strength, this.#product);
      else if (kind.apply) await kind.apply(part.factors, block, strength, this.#product);
      else {
        const own = await kind.change!(part.factors, block, this.#product);
        for (let i = 0; i < own.length; i++) block.values[i]! += strength * own[i]!;
      }
    }
  }
}

/** Whether a change is the same whatever the weight is, and linear in the scale: such changes may be summed, and their order is free. */
export function isLinearChange(change: { readonly kind: string } & (LinearChange | FactoredChange)): boolean {
  return change.kind !== "factored" || change.parts.every((part) => isLinearKind(kindOfPart(part), part.factors));
}

function isLinearJob(job: StackJob): job is MergeJob {
  return job.terms.every(({ change }) => change.kind !== "factored");
}

function kindOfPart({ factors }: FactoredPart): UpdateKind {
  const kind = kindOf(shapesOf(factors));
  if (typeof kind === "string") throw new Error(`Factors that are of no kind have been let through: ${kind}`);
  return kind;
}

/** The part's rows of a weight, in place. */
function rowsOf(block: WeightBlock, { rows }: FactoredPart): WeightBlock {
  if (!rows) return block;
  const width = block.channels * block.kernel;
  return { ...block, rows: rows.end - rows.start, values: block.values.subarray(rows.start * width, rows.end * width) };
}
