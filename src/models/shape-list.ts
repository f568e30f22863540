/** Collects the tensors of modules: a weight, and a bias as long as the weight's first axis. */
export class ShapeList {
  readonly shapes = new Map<string, readonly number[]>();

  add(module: string, weight: readonly number[], hasBias = true): void {
    this.shapes.set(`${module}.weight`, weight);
    if (hasBias) this.shapes.set(`${module}.bias`, [weight[0]!]);
  }
}
