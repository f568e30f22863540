import type { LayerStatistics } from "../../jobs/inspection/types.ts";

/** How long a request should take: progress is seen, and a detail that is asked for meanwhile waits no longer. */
const WANTED_MILLISECONDS = 250;
const MOST_LAYERS = 512;

export interface LoaderCallbacks {
  readonly ask: (layers: readonly number[], signal: AbortSignal) => Promise<readonly LayerStatistics[]>;
  readonly onRows: (layers: readonly number[], rows: readonly LayerStatistics[]) => void;
  readonly onEnd: (error: unknown) => void;
}

/** Asks for the numbers of all layers, a few at a time, those that are looked at first. */
export class StatisticsLoader {
  readonly #callbacks: LoaderCallbacks;
  readonly #missing: Set<number>;
  #first: readonly number[] = [];
  #controller: AbortController | undefined;

  constructor(count: number, callbacks: LoaderCallbacks) {
    this.#missing = new Set(Array.from({ length: count }, (_, index) => index));
    this.#callbacks = callbacks;
  }

  get isRunning(): boolean {
    return this.#controller !== undefined;
  }

  get missing(): number {
    return this.#missing.size;
  }

  /** Layers to be asked for before all others. */
  prefer(layers: readonly number[]): void {
    this.#first = layers;
  }

  stop(): void {
    this.#controller?.abort();
    this.#controller = undefined;
  }

  /** Begins, or goes on after a stop. */
  start(): void {
    if (this.#controller || this.#missing.size === 0) return;
    this.#controller = new AbortController();
    void this.#run(this.#controller.signal);
  }

  async #run(signal: AbortSignal): Promise<void> {
    let [count, failure] = [4, undefined as unknown];
    try {
      while (this.#missing.size > 0 && !signal.aborted) {
        const layers = this.#next(count);
        const start = performance.now();
        const rows = await this.#callbacks.ask(layers, signal);
        for (const layer of layers) this.#missing.delete(layer);
        this.#callbacks.onRows(layers, rows);
        const wanted = (count * WANTED_MILLISECONDS) / Math.max(1, performance.now() - start);
        count = Math.max(1, Math.min(MOST_LAYERS, Math.round(Math.min(wanted, count * 4))));
      }
    } catch (error) {
      failure = error;
    }
    if (signal.aborted) return;
    this.#controller = undefined;
    this.#callbacks.onEnd(failure);
  }

  #next(count: number): number[] {
    const wanted = this.#first.filter((layer) => this.#missing.has(layer)).slice(0, count);
    for (const layer of this.#missing) {
      if (wanted.length >= count) break;
      if (!wanted.includes(layer)) wanted.push(layer);
    }
    return wanted;
  }
}
