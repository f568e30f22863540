import type { Channel } from "./host.ts";
import type { PageData } from "./protocol.ts";

interface VsCodeApi {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
}

declare function acquireVsCodeApi(): VsCodeApi;

/** VS Code gives it once to each page. */
const api = acquireVsCodeApi();

/** The channel to the extension host. */
export const hostChannel: Channel = {
  post: (message) => api.postMessage(message),
  listen: (listener) => window.addEventListener("message", ({ data }: MessageEvent<unknown>) => listener(data)),
};

/** What the page keeps when it is hidden, moved or reloaded; undefined the first time. */
export function savedState(): unknown {
  return api.getState();
}

export function saveState(state: object): void {
  api.setState(state);
}

/** The texts and the start that the host wrote into the page. */
export function readPageData(): PageData<unknown, unknown> {
  return JSON.parse(document.getElementById("page-data")!.textContent) as PageData<unknown, unknown>;
}

/** "{0} of {1}" with its places filled. */
export function format(text: string, ...values: readonly (string | number)[]): string {
  return text.replaceAll(/\{(\d+)\}/g, (place, index) => String(values[Number(index)] ?? place));
}
