import type { Workbench } from "./workbench.ts";

/** What a flow is given: an open window, the folder it shows, and the server's process id. */
export interface FlowContext {
  readonly workbench: Workbench;
  readonly workspace: string;
  readonly server: number;
}

/** Something a person does in the window, from beginning to end. */
export interface Flow {
  readonly name: string;
  readonly settings?: Readonly<Record<string, unknown>>;
  /** False: in Restricted Mode. */
  readonly trusted?: boolean;
  readonly run: (context: FlowContext) => Promise<void>;
}
