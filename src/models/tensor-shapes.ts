import { UserError } from "../formats/errors.ts";

/** Anything with a shape: a weight, a header's entry. */
interface Shaped {
  readonly shape: readonly number[];
}

/** Names and shapes of a file's tensors, with questions that name the file when the answer is missing. */
export class TensorShapes {
  readonly path: string;
  readonly #tensors: ReadonlyMap<string, Shaped>;

  constructor(path: string, tensors: ReadonlyMap<string, Shaped>) {
    this.path = path;
    this.#tensors = tensors;
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  names(): IterableIterator<string> {
    return this.#tensors.keys();
  }

  /** Number of dimensions of a tensor; throws "checkpoint.incomplete" where there is no such tensor. */
  rank(name: string): number {
    return this.#shape(name).length;
  }

  /** One size of a tensor; throws "checkpoint.incomplete" where the tensor or the axis does not exist. */
  size(name: string, axis: number): number {
    const shape = this.#shape(name);
    const size = shape[axis];
    if (size === undefined || size < 1) {
      throw new UserError("checkpoint.incomplete", `${this.path}: tensor "${name}" has the impossible shape [${shape.join(", ")}].`);
    }
    return size;
  }

  /** How many of `${start}0${end}`, `${start}1${end}`, … exist, up to the first gap. */
  count(start: string, end: string): number {
    let count = 0;
    while (this.#tensors.has(`${start}${count}${end}`)) count++;
    return count;
  }

  /**
   * Checks that every expected tensor is there in its expected shape; a convolution of size 1×1 may be a matrix and the other way
   * round. Throws "checkpoint.incomplete", naming the first that is not.
   */
  require(expected: ReadonlyMap<string, readonly number[]>, what: string): void {
    for (const [name, shape] of expected) {
      const tensor = this.#tensors.get(name);
      if (!tensor) {
        throw new UserError("checkpoint.incomplete", `${this.path} lacks "${name}", which its ${what} needs: the file is incomplete.`);
      }
      if (sameShape(tensor.shape, shape)) continue;
      const found = `[${tensor.shape.join(", ")}] where its ${what} needs [${shape.join(", ")}]`;
      throw new UserError(
        "checkpoint.incomplete",
        `${this.path}: tensor "${name}" has shape ${found}: the file is damaged or of an unknown kind.`,
      );
    }
  }

  #shape(name: string): readonly number[] {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new UserError("checkpoint.incomplete", `${this.path} lacks "${name}": the file is incomplete.`);
    return tensor.shape;
  }
}

function sameShape(left: readonly number[], right: readonly number[]): boolean {
  const [a, b] = [withoutUnitKernel(left), withoutUnitKernel(right)];
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

function withoutUnitKernel(shape: readonly number[]): readonly number[] {
  return shape.length === 4 && shape[2] === 1 && shape[3] === 1 ? shape.slice(0, 2) : shape;
}
