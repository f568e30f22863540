import { messageOf } from "./host.ts";

/** The layer whose detail is open: what is known of it, or why nothing is. */
export interface OpenDetail<Detail> {
  readonly layer: number;
  readonly detail?: Detail;
  readonly error?: string;
}

/** Asks for the detail of one layer at a time: another one, or none, takes its place at once. */
export class DetailLoader<Detail> {
  readonly #ask: (layer: number, signal: AbortSignal) => Promise<Detail>;
  readonly #changed: (open: OpenDetail<Detail>) => void;
  #request: AbortController | undefined;
  #open: OpenDetail<Detail> | undefined;

  /** @param changed called when the answer is there */
  constructor(ask: (layer: number, signal: AbortSignal) => Promise<Detail>, changed: (open: OpenDetail<Detail>) => void) {
    this.#ask = ask;
    this.#changed = changed;
  }

  get current(): OpenDetail<Detail> | undefined {
    return this.#open;
  }

  open(layer: number): void {
    this.close();
    const request = new AbortController();
    this.#request = request;
    this.#open = { layer };
    const settle = (open: OpenDetail<Detail>): void => {
      if (request.signal.aborted) return;
      this.#open = open;
      this.#changed(open);
    };
    this.#ask(layer, request.signal).then(
      (detail) => settle({ layer, detail }),
      (error: unknown) => settle({ layer, error: messageOf(error) }),
    );
  }

  close(): void {
    this.#request?.abort();
    this.#open = undefined;
  }
}
