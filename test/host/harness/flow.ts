import type { Server } from "./server.ts";
import type { Workbench } from "./workbench.ts";

/** What a flow is given: an open window, the folder it shows, the server's process id, and other windows on the same folder. */
export interface FlowContext {
  readonly workbench: Workbench;
  readonly workspace: string;
  readonly server: number;
  readonly changeSettings: Server["changeSettings"];
  readonly openWindow: () => Promise<Workbench>;
}

/** Something a person does in the window, from beginning to end. */
export interface Flow {
  readonly name: string;
  readonly settings?: Readonly<Record<string, unknown>>;
  /** False: in Restricted Mode. */
  readonly trusted?: boolean;
  /** Of the window; English where absent. */
  readonly language?: string;
  /** Puts more files into the workspace before it is opened. */
  readonly prepare?: (workspace: string) => void;
  readonly run: (context: FlowContext) => Promise<void>;
}
