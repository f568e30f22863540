import type { EventName, Failure, MessageToHost, MessageToWebview, Method, Params, ProgressOf, Protocol, Result } from "./protocol.ts";

/** A refused request: the host's sentence for a person, and its code; "timeout" where no answer came. */
export class HostError extends Error {
  override readonly name = "HostError";
  readonly code: string;

  constructor({ code, message }: Failure) {
    super(message);
    this.code = code;
  }
}

/** The way to the other side, as `acquireVsCodeApi` and window messages give it. */
export interface Channel {
  post(message: unknown): void;
  listen(listener: (message: unknown) => void): void;
}

export interface RequestOptions<P extends Protocol, M extends Method<P>> {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ProgressOf<P, M>) => void;
  /** Milliseconds without answer or progress after which the request is given up. */
  readonly timeout?: number;
}

interface Pending {
  resolve(result: unknown): void;
  refuse(failure: Failure): void;
  progress(progress: unknown): void;
}

const TIMEOUT_MILLISECONDS = 30_000;

/** A webview's end of the conversation with the extension host: requests always settle. */
export class HostConnection<P extends Protocol> {
  readonly #channel: Channel;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Map<string, Set<(payload: never) => void>>();
  #nextId = 1;

  constructor(channel: Channel) {
    this.#channel = channel;
    channel.listen((message) => this.#receive(message as MessageToWebview<P>));
  }

  /** Rejects with a HostError: the host's own, "cancelled" once `signal` is aborted, "timeout". */
  request<M extends Method<P>>(method: M, params: Params<P, M>, options: RequestOptions<P, M> = {}): Promise<Result<P, M>> {
    const { signal, onProgress, timeout = TIMEOUT_MILLISECONDS } = options;
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const settle = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", cancel);
        this.#pending.delete(id);
      };
      const refuse = (failure: Failure): void => {
        settle();
        reject(new HostError(failure));
      };
      const cancel = (): void => {
        this.#post({ type: "cancel", id });
        refuse({ code: "cancelled", message: "Cancelled." });
      };
      const wait = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          this.#post({ type: "cancel", id });
          refuse({ code: "timeout", message: `The extension did not answer "${method}" within ${timeout / 1000} s.` });
        }, timeout);
      };
      if (signal?.aborted) return refuse({ code: "cancelled", message: "Cancelled." });
      signal?.addEventListener("abort", cancel);
      this.#pending.set(id, {
        resolve: (result) => {
          settle();
          resolve(result as Result<P, M>);
        },
        refuse,
        progress: (progress) => {
          wait();
          onProgress?.(progress as ProgressOf<P, M>);
        },
      });
      wait();
      this.#post({ type: "request", id, method, params } as MessageToHost<P>);
    });
  }

  /** Listens to what the host tells unasked. */
  on<E extends EventName<P>>(name: E, listener: (payload: P["events"][E]) => void): void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
  }

  #post(message: MessageToHost<P>): void {
    this.#channel.post(message);
  }

  #receive(message: MessageToWebview<P>): void {
    if (message.type === "event") {
      for (const listener of this.#listeners.get(message.name) ?? []) listener(message.payload as never);
      return;
    }
    // Answers to what was cancelled or given up find nobody.
    const pending = this.#pending.get(message.id);
    if (message.type === "result") pending?.resolve(message.result);
    else if (message.type === "failure") pending?.refuse(message);
    else if (message.type === "progress") pending?.progress(message.progress);
  }
}

/** The sentence of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
