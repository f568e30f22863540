import type { Cancellation } from "./connection.ts";

/** A cancellation without VS Code's own classes. */
export class CancellationSource implements Cancellation {
  readonly #listeners = new Set<() => void>();
  isCancellationRequested = false;

  readonly onCancellationRequested = (listener: () => void): { dispose(): void } => {
    this.#listeners.add(listener);
    return { dispose: () => void this.#listeners.delete(listener) };
  };

  cancel(): void {
    if (this.isCancellationRequested) return;
    this.isCancellationRequested = true;
    for (const listener of this.#listeners) listener();
  }
}
