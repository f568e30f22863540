import * as vscode from "vscode";
import type { JobKind, JobProgress, Jobs, LoadedEngine } from "../worker/protocol.ts";
import { setting } from "./contributions.ts";
import { showFailure } from "./log.ts";
import { requireTrust } from "./trust.ts";
import type { WorkerHost } from "./worker/host.ts";

/** Seconds as a person reads them: "1 min 20 s". */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds));
  return whole < 60 ? vscode.l10n.t("{0} s", whole) : vscode.l10n.t("{0} min {1} s", Math.floor(whole / 60), whole % 60);
}

/** A progress notification's line: stage, what it is about, how far, time left. */
function progressLine({ stage, message, fraction, secondsLeft }: JobProgress): string {
  const parts = [message === undefined ? stage : `${stage}: ${message}`];
  if (fraction !== undefined) parts.push(`${Math.round(fraction * 100)} %`);
  if (secondsLeft !== undefined) parts.push(vscode.l10n.t("{0} left", formatSeconds(secondsLeft)));
  return parts.join(" — ");
}

/** Fractions are those of a stage, and VS Code's bar cannot go back: the line alone says how far the job is. */
function reporter(progress: vscode.Progress<{ message?: string }>): (job: JobProgress) => void {
  return (job) => progress.report({ message: progressLine(job) });
}

function titleOf(kind: JobKind): string {
  const titles: Readonly<Record<JobKind, string>> = {
    export: vscode.l10n.t("Exporting an engine"),
    delta: vscode.l10n.t("Exporting a delta"),
    generate: vscode.l10n.t("Generating an image"),
    grid: vscode.l10n.t("Generating a grid of images"),
    bake: vscode.l10n.t("Baking LoRAs into a checkpoint"),
    extract: vscode.l10n.t("Extracting a LoRA"),
    resize: vscode.l10n.t("Resizing a LoRA"),
    mergeLoras: vscode.l10n.t("Merging LoRAs"),
    inspect: vscode.l10n.t("Inspecting a file"),
    compare: vscode.l10n.t("Comparing LoRAs"),
    bench: vscode.l10n.t("Benchmarking an engine"),
    doctor: vscode.l10n.t("Looking for engines and libraries"),
    installRuntime: vscode.l10n.t("Installing TensorRT-RTX"),
  };
  return titles[kind];
}

/** Runs jobs in the worker, the way their caller wants to see them. */
export class JobRunner {
  readonly #worker: WorkerHost;
  readonly #log: vscode.LogOutputChannel;

  constructor(worker: WorkerHost, log: vscode.LogOutputChannel) {
    this.#worker = worker;
    this.#log = log;
  }

  /** For programs: progress in the status bar, no dialog; rejects with the job's error. */
  run<K extends JobKind>(kind: K, options: Jobs[K]["options"]): Promise<Jobs[K]["result"]> {
    return this.#run(kind, options, { location: vscode.ProgressLocation.Window, cancellable: false });
  }

  /** For a person: a cancellable notification; rejects with the job's error, which `interactively` shows. */
  runInNotification<K extends JobKind>(kind: K, options: Jobs[K]["options"]): Promise<Jobs[K]["result"]> {
    return this.#run(kind, options, { location: vscode.ProgressLocation.Notification, cancellable: true });
  }

  /** Runs a flow that a person started: what goes wrong is shown to them, and the command ends quietly. */
  async interactively<R>(flow: () => Promise<R>): Promise<R | undefined> {
    try {
      return await flow();
    } catch (error) {
      void showFailure(error, this.#log);
      return undefined;
    }
  }

  /** Brings an engine into memory; a person may cancel it. */
  async loadEngine(path: string, location: vscode.ProgressLocation): Promise<LoadedEngine> {
    const title = vscode.l10n.t("Loading an engine");
    requireTrust(title);
    return vscode.window.withProgress({ location, title, cancellable: true }, (progress, token) =>
      this.#worker.loadEngine(path, { backend: setting("backend"), base: setting("load.base") }, reporter(progress), token),
    );
  }

  async #run<K extends JobKind>(
    kind: K,
    options: Jobs[K]["options"],
    { location, cancellable }: { location: vscode.ProgressLocation; cancellable: boolean },
  ): Promise<Jobs[K]["result"]> {
    const title = titleOf(kind);
    if (kind !== "inspect" && kind !== "compare") requireTrust(title);
    this.#log.info(`${kind} ${JSON.stringify(options)}`);
    const start = Date.now();
    const result = await vscode.window.withProgress({ location, title, cancellable }, (progress, token) =>
      this.#worker.runJob(kind, options, reporter(progress), token),
    );
    this.#log.info(`${kind} took ${Date.now() - start} ms`);
    return result;
  }
}
