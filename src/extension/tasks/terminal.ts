import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import * as vscode from "vscode";
import { endProcessTree } from "./processTree.ts";

/** Exit code of a shell for a command that could not be run. */
const NOT_RUN = 127;

/** VS Code looks for problems until a tenth of a second after a task's end: a busy window would miss those of the last lines. */
const LAST_LINES_MILLISECONDS = 500;

/** A terminal that shows one run of the command line; closing it ends the run and everything it started. */
export class CommandLineTerminal implements vscode.Pseudoterminal {
  readonly #script: string;
  readonly #arguments: readonly string[];
  readonly #environment: NodeJS.ProcessEnv;
  readonly #folder: string | undefined;
  readonly #write = new vscode.EventEmitter<string>();
  readonly #close = new vscode.EventEmitter<number>();
  readonly onDidWrite = this.#write.event;
  readonly onDidClose = this.#close.event;
  #process: ChildProcess | undefined;
  #hasEnded = false;

  constructor(script: string, words: readonly string[], environment: NodeJS.ProcessEnv, folder: string | undefined) {
    this.#script = script;
    this.#environment = environment;
    this.#arguments = words;
    this.#folder = folder;
  }

  open(): void {
    if (!vscode.workspace.isTrusted) {
      this.#line(vscode.l10n.t("Tasks are off in Restricted Mode. Trust this workspace to run them."));
      this.#close.fire(1);
      return;
    }
    this.#line(`> tensorrt-redux ${this.#arguments.join(" ")}`);
    const child = spawn(process.execPath, [this.#script, ...this.#arguments], {
      cwd: this.#folder,
      env: this.#environment,
      stdio: ["ignore", "pipe", "pipe"],
      detached: process.platform !== "win32",
      windowsHide: true,
    });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => this.#write.fire(text.replaceAll(/\r?\n/g, "\r\n")));
    }
    child.once("error", (error) => {
      this.#line(error.message);
      this.#end(NOT_RUN);
    });
    // "close" rather than "exit": all output has come by then. What a signal has ended gets a shell's code for that.
    child.once("close", (code, signal) => {
      if (code !== null) return this.#end(code);
      this.#line(vscode.l10n.t("The run was ended from outside ({0}). No half-written file is left; run the task again.", signal!));
      this.#end(128 + constants.signals[signal!]);
    });
  }

  close(): void {
    if (this.#process) endProcessTree(this.#process);
  }

  handleInput(data: string): void {
    const CONTROL_C = "\u0003";
    if (data === CONTROL_C) this.close();
  }

  /** A process that could not be started may be said to have ended as well. */
  #end(exitCode: number): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    setTimeout(() => this.#close.fire(exitCode), exitCode === 0 ? 0 : LAST_LINES_MILLISECONDS);
  }

  #line(text: string): void {
    this.#write.fire(`${text}\r\n`);
  }
}

/** A terminal of a run that did not begin. */
export function endedTerminal(exitCode: number): vscode.Pseudoterminal {
  const closed = new vscode.EventEmitter<number>();
  return {
    onDidWrite: new vscode.EventEmitter<string>().event,
    onDidClose: closed.event,
    open: () => closed.fire(exitCode),
    close: () => closed.dispose(),
  };
}
