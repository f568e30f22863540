import type { Disposable } from "vscode";

/** Draws once for the changes that come within a moment of each other, as one step of the stack makes several. */
export class Redraw implements Disposable {
  readonly #draw: () => void;
  readonly #milliseconds: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(draw: () => void, milliseconds = 30) {
    this.#draw = draw;
    this.#milliseconds = milliseconds;
  }

  request(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#draw();
    }, this.#milliseconds);
  }

  dispose(): void {
    clearTimeout(this.#timer);
  }
}
