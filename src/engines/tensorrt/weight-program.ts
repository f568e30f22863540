import type { FactoredChange, FactoredPart, LinearChange, WeightChange } from "../../lora/delta.ts";
import { blockSize, sizeFrom, type BlockSize } from "../../lora/factors.ts";
import { SET_WEIGHT } from "../../lora/kinds/difference.ts";
import { axisOf, MAGNITUDES } from "../../lora/kinds/dora.ts";
import { GLORA, gloraOrder } from "../../lora/kinds/glora.ts";
import { IA3, isOnInput, PEFT_IA3 } from "../../lora/kinds/ia3.ts";
import type { UpdateKind } from "../../lora/kinds/kind.ts";
import { isDecomposed, kindOf } from "../../lora/kinds/kinds.ts";
import { alphaScale, shapesOf } from "../../lora/kinds/scale.ts";
import type { MergeTerm } from "../../lora/merge.ts";
import { ProgramBuilder, type ProgramBuffer, type ProgramStep, type RowRange } from "./kind-program.ts";
import { linearStep, multiply, PartFactors } from "./linear-steps.ts";
import { numbersOf } from "./native-numbers.ts";
import type { NativeProgram } from "./native.ts";
import { turningOf, type Turning } from "./rotation-steps.ts";
import { denseValues, lowRankFactors } from "./stored-delta.ts";

/**
 * The program that applies a stack's terms to a weight of this shape, in their order. Steps that can be done number by number wait until the
 * last pass, where they are done in registers, with one rounding; what needs the weight as it stands has the steps before it done first, in fp32.
 */
export function weightProgram(shape: readonly number[], terms: readonly MergeTerm<WeightChange>[]): NativeProgram {
  const weight = new WeightProgram(shape);
  for (const { change, scale } of terms) {
    if (change.kind === "factored") weight.addFactored(change, scale);
    else weight.addLinear(change, scale);
  }
  return weight.finish();
}

class WeightProgram {
  readonly #size: BlockSize;
  readonly #builder: ProgramBuilder;
  readonly #all: RowRange;
  /** Where the weight's numbers are before the waiting steps are done. */
  #current: ProgramBuffer;
  #waiting: ProgramStep[] = [];
  /** Whole weights in fp32, of which one may be the current one. */
  #copies: ProgramBuffer[] = [];

  constructor(shape: readonly number[]) {
    this.#size = blockSize(shape);
    const { rows, channels, kernel } = this.#size;
    this.#builder = new ProgramBuilder(rows, channels * kernel);
    this.#all = { start: 0, end: rows };
    this.#current = this.#builder.base;
  }

  finish(): NativeProgram {
    this.#builder.pass(this.#current, this.#builder.out, this.#waiting);
    return this.#builder.finish();
  }

  addLinear(change: LinearChange, scale: number): void {
    const { columns } = this.#builder;
    const rows = this.#all;
    if (change.kind === "dense") {
      const buffer = this.#builder.factor(numbersOf(denseValues(change)));
      this.#waiting.push({ kind: "add", rows, scale, a: { buffer, rowStep: columns, columnStep: 1 } });
      return;
    }
    const { rank: depth } = change;
    const { up, down } = lowRankFactors(change);
    const a = { buffer: this.#builder.factor(numbersOf(up)), rowStep: depth, columnStep: 1 };
    const b = { buffer: this.#builder.factor(numbersOf(down)), rowStep: columns, columnStep: 1 };
    this.#waiting.push({ kind: "lowRank", rows, scale, depth, a, b });
  }

  addFactored({ parts, strength }: FactoredChange, scale: number): void {
    for (const part of parts) this.#addPart(part, strength * scale);
  }

  #addPart({ factors, rows = this.#all }: FactoredPart, strength: number): void {
    const shapes = shapesOf(factors);
    const kind = kindOf(shapes);
    if (typeof kind === "string") throw new Error(`Factors that are of no kind have been let through: ${kind}`);
    const part = new PartFactors(this.#builder, factors, rows);
    const turning = turningOf(kind, part, strength);
    if (isDecomposed(shapes)) this.#addDora(kind, part, strength);
    else if (turning) this.#turn(turning, rows);
    else if (kind === GLORA) this.#addGlora(part, strength);
    else if (kind === IA3) this.#scale(part, "ia3_weight", 1, strength);
    else if (kind === PEFT_IA3) this.#scale(part, "ia3_l", 1 - strength, strength);
    else if (kind === SET_WEIGHT) this.#waiting.push({ kind: "assign", rows, scale: 1, a: part.matrix("set_weight") });
    else this.#waiting.push(linearStep(kind, part, strength));
  }

  /** The norms are those of what the steps until here make; the last pass does the steps again, then multiplies (src/lora/kinds/dora.ts). */
  #addDora(kind: UpdateKind, part: PartFactors, strength: number): void {
    const name = MAGNITUDES.find((each) => part.factors.has(each))!;
    const isRelative = name === "dora_scale";
    const { rows } = part;
    const { channels, kernel } = this.#size;
    this.#waiting.push(linearStep(kind, part, isRelative ? 1 : strength));
    const isOfRows = axisOf(name, part.shape(name), { rows: rows.end - rows.start, channels, kernel }) === "rows";
    const axis = isOfRows ? "rows" : "columns";
    const magnitude = part.buffer(name);
    const buffer = this.#builder.norms(this.#current, this.#waiting, { axis, rows, kernel, magnitude, isRelative, strength });
    this.#pushScale(buffer, isOfRows, rows, 0, 1);
  }

  #scale(part: PartFactors, name: string, offset: number, scale: number): void {
    const { rows } = part;
    const onInput = isOnInput(part.factors, sizeFrom(part.shape(name), 0), { ...this.#size, rows: rows.end - rows.start });
    this.#pushScale(part.buffer(name), !onInput, rows, offset, scale);
  }

  /** Each row, or each input channel, times offset + scale · its number. */
  #pushScale(buffer: ProgramBuffer, isOfRows: boolean, rows: RowRange, offset: number, scale: number): void {
    const [rowStep, columnStep] = isOfRows ? [1, 0] : [0, 1];
    const blockColumns = isOfRows ? 1 : this.#size.kernel;
    this.#waiting.push({ kind: "scale", rows, scale, offset, blockColumns, a: { buffer, rowStep, columnStep } });
  }

  /** W + strength · alpha / r · (W·a1·a2 + b1·b2), a1·a2 acting on the input channels (src/lora/kinds/glora.ts). */
  #addGlora(part: PartFactors, strength: number): void {
    this.#settle();
    const { rank, ...names } = gloraOrder(shapesOf(part.factors))!;
    const [a1, a2, b1, b2] = [names.a1, names.a2, names.b1, names.b2].map((name) => part.matrix(name)) as [
      ReturnType<PartFactors["matrix"]>,
      ReturnType<PartFactors["matrix"]>,
      ReturnType<PartFactors["matrix"]>,
      ReturnType<PartFactors["matrix"]>,
    ];
    const { rows } = part;
    const scale = strength * alphaScale(part.factors, rank);
    const height = rows.end - rows.start;
    const { columns } = this.#builder;
    const { channels, kernel } = this.#size;
    const weight = { buffer: this.#current, offset: rows.start * columns, rowStep: columns, columnStep: kernel };
    if (kernel === 1) {
      const reduced = multiply(this.#builder, { ...weight, rows: height, columns }, a1);
      this.#waiting.push({ kind: "lowRank", rows, scale, depth: rank, a: reduced, b: a2 });
    } else {
      // One product for each element of the kernel.
      const reduced = { buffer: this.#builder.scratch(kernel * height * rank), rowStep: rank, columnStep: 1 };
      const step = height * rank;
      const first = { count: kernel, left: 1, right: 0, out: step };
      this.#builder.product({ rows: height, columns: rank, depth: channels, batches: first, left: weight, right: a1, out: reduced });
      const change = { buffer: this.#builder.scratch(height * columns), rowStep: columns, columnStep: kernel };
      const second = { count: kernel, left: step, right: 0, out: 1 };
      this.#builder.product({ rows: height, columns: channels, depth: rank, batches: second, left: reduced, right: a2, out: change });
      this.#waiting.push({ kind: "add", rows, scale, a: { ...change, columnStep: 1 } });
    }
    this.#waiting.push({ kind: "lowRank", rows, scale, depth: rank, a: b1, b: b2 });
  }

  #turn({ axis, rotations, stages, count, size, order, rescale }: Turning, rows: RowRange): void {
    this.#settle();
    const isWhole = rows.start === 0 && rows.end === this.#builder.rows;
    for (let stage = 0; stage < stages; stage++) {
      const from = this.#current;
      const out = this.#otherCopy();
      // Rows that are not turned have to be there too.
      if (!isWhole) this.#builder.pass(from, out, []);
      const rotationsOffset = stage * count * size * size;
      const isShared = count === 1;
      this.#builder.rotation({ from, out, rotations, rotationsOffset, size, isShared, rows, axis, ...(order && { order: order(stage) }) });
      this.#current = out;
    }
    if (rescale) this.#pushScale(rescale.rows, true, rows, rescale.offset, rescale.scale);
  }

  /** Does the waiting steps, so that the current numbers are the weight as it stands. */
  #settle(): void {
    if (this.#waiting.length === 0) return;
    const to = this.#current.place === "scratch" ? this.#current : this.#otherCopy();
    this.#builder.pass(this.#current, to, this.#waiting);
    this.#current = to;
    this.#waiting = [];
  }

  /** Scratch memory for a whole weight that is not the current one. */
  #otherCopy(): ProgramBuffer {
    const free = this.#copies.find((copy) => copy !== this.#current);
    if (free) return free;
    const copy = this.#builder.scratch(this.#builder.rows * this.#builder.columns);
    this.#copies.push(copy);
    return copy;
  }
}
