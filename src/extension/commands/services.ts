import type * as vscode from "vscode";
import type { DoctorPanel } from "../doctor/panel.ts";
import type { ModelFiles } from "../files.ts";
import type { JobRunner } from "../jobs.ts";
import type { Memory } from "../memory.ts";
import type { ReportDocuments } from "../reports.ts";
import type { Stacks } from "../stack/stacks.ts";
import type { WorkerHost } from "../worker/host.ts";

/** What commands are made of. */
export interface Services {
  readonly files: ModelFiles;
  readonly jobs: JobRunner;
  readonly log: vscode.LogOutputChannel;
  readonly doctorPanel: DoctorPanel;
  readonly reports: ReportDocuments;
  /** What the workspace remembers. */
  readonly memory: Memory;
  readonly stacks: Stacks;
  /** Files of the stack view's rows that a command means: those it was started on, else the selected ones. */
  readonly selectedEntries: (argument: object | undefined, selected: readonly unknown[] | undefined) => readonly string[];
  readonly worker: WorkerHost;
}
