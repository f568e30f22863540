import type {
  EventName,
  MessageToHost,
  MessageToWebview,
  Method,
  Params,
  ProgressOf,
  Protocol,
  Result,
} from "../../webview/shared/protocol.ts";
import { CancellationSource } from "../worker/cancellation.ts";
import { type Cancellation, WorkerError } from "../worker/connection.ts";

/** As much of `vscode.Webview` as messages need. */
export interface WebviewChannel {
  postMessage(message: unknown): PromiseLike<boolean>;
  onDidReceiveMessage(listener: (message: unknown) => void): { dispose(): void };
}

export interface RequestContext<P extends Protocol, M extends Method<P>> {
  readonly cancellation: Cancellation;
  readonly progress: (progress: ProgressOf<P, M>) => void;
  /** Cancels all other requests: those of a page that has been loaded again would be answered to nobody. */
  readonly cancelOthers: () => void;
}

/** What answers each request. What it throws is the webview's answer: a WorkerError with its code, anything else as "internal". */
export type RequestHandlers<P extends Protocol> = {
  readonly [M in Method<P>]: (params: Params<P, M>, context: RequestContext<P, M>) => Promise<Result<P, M>>;
};

/** The host's end of the conversation with one webview; its disposal cancels what runs. */
export class WebviewServer<P extends Protocol> {
  readonly #webview: WebviewChannel;
  readonly #handlers: RequestHandlers<P>;
  readonly #running = new Map<number, CancellationSource>();
  readonly #subscription: { dispose(): void };
  #disposed = false;

  constructor(webview: WebviewChannel, handlers: RequestHandlers<P>) {
    this.#webview = webview;
    this.#handlers = handlers;
    this.#subscription = webview.onDidReceiveMessage((message) => isMessage<P>(message) && this.#receive(message));
  }

  /** Tells the webview something it did not ask for. */
  send<E extends EventName<P>>(name: E, payload: P["events"][E]): void {
    this.#post({ type: "event", name, payload } as MessageToWebview<P>);
  }

  dispose(): void {
    this.#disposed = true;
    this.#subscription.dispose();
    this.#cancelExcept(undefined);
  }

  #receive(message: MessageToHost<P>): void {
    if (message.type === "cancel") this.#running.get(message.id)?.cancel();
    else void this.#answer(message.id, message.method, message.params);
  }

  async #answer<M extends Method<P>>(id: number, method: M, params: Params<P, M>): Promise<void> {
    const cancellation = new CancellationSource();
    this.#running.set(id, cancellation);
    const isCurrent = () => this.#running.get(id) === cancellation;
    try {
      if (!Object.hasOwn(this.#handlers, method)) throw new Error(`There is no request "${method}".`);
      const progress = (each: ProgressOf<P, M>) => void (isCurrent() && this.#post({ type: "progress", id, progress: each }));
      const result = await this.#handlers[method](params, { cancellation, progress, cancelOthers: () => this.#cancelExcept(id) });
      if (isCurrent()) this.#post({ type: "result", id, result });
    } catch (error) {
      const code = error instanceof WorkerError ? error.code : "internal";
      if (isCurrent()) this.#post({ type: "failure", id, code, message: error instanceof Error ? error.message : String(error) });
    } finally {
      if (isCurrent()) this.#running.delete(id);
    }
  }

  #cancelExcept(kept: number | undefined): void {
    for (const [id, source] of this.#running) {
      if (id === kept) continue;
      source.cancel();
      this.#running.delete(id);
    }
  }

  #post(message: MessageToWebview<P>): void {
    if (!this.#disposed) void this.#webview.postMessage(message);
  }
}

/** Whether a page has sent what the protocol has; what a request's handler is given, it looks at itself. */
function isMessage<P extends Protocol>(message: unknown): message is MessageToHost<P> {
  const { type, id, method } = (message ?? {}) as { readonly type?: unknown; readonly id?: unknown; readonly method?: unknown };
  return typeof id === "number" && (type === "cancel" || (type === "request" && typeof method === "string"));
}
