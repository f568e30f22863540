/*
 * What passes between a webview and the extension host, types alone: both sides take them from here. Each webview describes its
 * own `Protocol`; the messages below are the one union in each direction. Every request has an id and is answered by a result or a
 * failure; until then the host may send progress and the webview may cancel.
 */

/** One webview's requests to the host, by method, and what the host tells it unasked, by name. */
export interface Protocol {
  readonly requests: object;
  readonly events: object;
}

/** What a request is described by. */
export interface RequestDescription {
  readonly params: unknown;
  readonly result: unknown;
  /** Sent any number of times before the answer. */
  readonly progress?: unknown;
}

export type Method<P extends Protocol> = keyof P["requests"] & string;
export type EventName<P extends Protocol> = keyof P["events"] & string;
type Part<P extends Protocol, M extends Method<P>, K extends keyof RequestDescription> =
  P["requests"][M] extends Readonly<Record<K, infer T>> ? T : never;
export type Params<P extends Protocol, M extends Method<P>> = Part<P, M, "params">;
export type Result<P extends Protocol, M extends Method<P>> = Part<P, M, "result">;
export type ProgressOf<P extends Protocol, M extends Method<P>> = Part<P, M, "progress">;

/** Webview to host. */
export type MessageToHost<P extends Protocol> =
  | {
      readonly [M in Method<P>]: { readonly type: "request"; readonly id: number; readonly method: M; readonly params: Params<P, M> };
    }[Method<P>]
  | { readonly type: "cancel"; readonly id: number };

/** Host to webview. */
export type MessageToWebview<P extends Protocol> =
  | { readonly type: "result"; readonly id: number; readonly result: Result<P, Method<P>> }
  | { readonly type: "progress"; readonly id: number; readonly progress: ProgressOf<P, Method<P>> }
  | ({ readonly type: "failure"; readonly id: number } & Failure)
  | { readonly [E in EventName<P>]: { readonly type: "event"; readonly name: E; readonly payload: P["events"][E] } }[EventName<P>];

/** Why a request was refused: a code for programs, a sentence for people. */
export interface Failure {
  readonly code: string;
  readonly message: string;
}

/** What the host writes into a webview's page: its texts in the person's language, and what it has to know at its start. */
export interface PageData<Texts, Start> {
  readonly texts: Texts;
  readonly start: Start;
}

/** What pages with tables and figures ask for, each in its own protocol. */
export interface FileRequests {
  readonly copy: { readonly params: { readonly text: string }; readonly result: null };
  /** Asks the person where, and writes; false where they turn away. */
  readonly save: { readonly params: SavedFile; readonly result: boolean };
}

export interface SavedFile {
  /** What the file is called unless the person says otherwise. */
  readonly name: string;
  /** Its bytes in base64. */
  readonly bytes: string;
}
