import { resolve } from "node:path";
import * as vscode from "vscode";
import type { AppliedStack, Jobs, LoadedEngine } from "../../worker/protocol.ts";
import type { WorkerHost } from "../worker/host.ts";
import { isSameStack, isStack, stackKey, type Stack } from "./entries.ts";

type LoraReference = NonNullable<Jobs["generate"]["options"]["lora"]>[number];

/** How an engine stands to its stack. */
export interface StackState {
  readonly applying: boolean;
  /** What the last change did, where the engine's weights hold it. */
  readonly applied?: AppliedStack;
  /** Why the stack could not be applied: the engine has the one before still. */
  readonly problem?: string;
}

interface Application {
  readonly running: Promise<AppliedStack | undefined>;
  /** Begins after `running`, with the stack as it is then: changes that come meanwhile share it. */
  next?: Promise<AppliedStack | undefined>;
}

const CHOSEN_KEY = "stacks.engine";

/**
 * The stack of each engine: kept for the workspace, and applied whenever it changes or its engine is loaded, so that it survives
 * a reload of the window and a new worker.
 */
export class Stacks implements vscode.Disposable {
  readonly #worker: WorkerHost;
  readonly #memory: vscode.Memento;
  readonly #log: vscode.LogOutputChannel;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.#changed.event;
  readonly #states = new Map<string, StackState>();
  readonly #applications = new Map<string, Application>();
  readonly #subscription: vscode.Disposable;
  #loaded: readonly string[] = [];

  constructor(worker: WorkerHost, memory: vscode.Memento, log: vscode.LogOutputChannel) {
    this.#worker = worker;
    this.#memory = memory;
    this.#log = log;
    this.#subscription = worker.onDidChangeEngines((engines) => this.#onEngines(engines));
  }

  /** Paths of the engines in memory, the one loaded last at the end. */
  get engines(): readonly string[] {
    return this.#loaded;
  }

  /** The engine that views and commands mean unless told: the one chosen where it is loaded, else the one loaded last. */
  get engine(): string | undefined {
    const chosen = this.#memory.get<string>(CHOSEN_KEY);
    return chosen !== undefined && this.#loaded.includes(chosen) ? chosen : this.#loaded.at(-1);
  }

  async choose(engine: string): Promise<void> {
    await this.#memory.update(CHOSEN_KEY, resolve(engine));
    this.#changed.fire();
  }

  of(engine: string): Stack {
    const kept = this.#memory.get<unknown>(stackKey(engine));
    return isStack(kept) ? kept : [];
  }

  state(engine: string): StackState {
    return this.#states.get(resolve(engine)) ?? { applying: false };
  }

  /** The LoRAs that are switched on, as the generate job takes them. */
  references(engine: string): LoraReference[] {
    return this.of(engine).flatMap(({ enabled, ...reference }) => (enabled ? [reference] : []));
  }

  /**
   * Changes a stack and, where its engine is loaded, the engine's weights.
   * @returns what that did; undefined where the engine is not loaded: the stack is then applied once it is
   * @throws WorkerError where it could not be applied; the changed stack is kept, so that the person can mend it
   */
  async change(engine: string, edit: (stack: Stack) => Stack): Promise<AppliedStack | undefined> {
    const path = resolve(engine);
    const stack = edit(this.of(path));
    // Programs and pages give what they like; what is none could not be read again.
    if (!isStack(stack)) throw new Error(vscode.l10n.t("A stack holds files, each with a number as its scale."));
    const kept = this.#memory.update(stackKey(path), stack.length > 0 ? stack : undefined);
    this.#changed.fire();
    await kept;
    return this.#loaded.includes(path) ? this.#apply(path) : undefined;
  }

  /** Forgets the stack of an engine that is no more. */
  async forget(engine: string): Promise<void> {
    if (this.of(engine).length > 0) await this.#memory.update(stackKey(engine), undefined);
  }

  dispose(): void {
    this.#subscription.dispose();
    this.#changed.dispose();
  }

  #onEngines(engines: readonly LoadedEngine[]): void {
    const before = this.#loaded;
    this.#loaded = engines.map(({ path }) => path);
    for (const path of before) if (!this.#loaded.includes(path)) this.#states.delete(path);
    for (const { path, stack } of engines) {
      const isNew = !before.includes(path);
      // What could not be applied is tried again once the person has changed it, or the engine is loaded anew.
      const waits = !isNew && (this.#applications.has(path) || this.state(path).problem !== undefined);
      if (waits || isSameStack(stack, this.of(path))) continue;
      this.#apply(path).catch((error: unknown) => this.#log.warn(`The stack of ${path} was not applied: ${String(error)}`));
    }
    this.#changed.fire();
  }

  #apply(path: string): Promise<AppliedStack | undefined> {
    const application = this.#applications.get(path);
    if (application) {
      const start = (): Promise<AppliedStack | undefined> => this.#start(path);
      return (application.next ??= application.running.then(start, start));
    }
    return this.#start(path);
  }

  #start(path: string): Promise<AppliedStack | undefined> {
    const running = this.#applyNow(path);
    const application: Application = { running };
    this.#applications.set(path, application);
    return running.finally(() => {
      if (this.#applications.get(path) === application && !application.next) this.#applications.delete(path);
    });
  }

  async #applyNow(path: string): Promise<AppliedStack | undefined> {
    if (!this.#loaded.includes(path)) return undefined;
    this.#setState(path, { ...this.state(path), applying: true });
    try {
      const applied = await this.#worker.setStack(path, this.of(path));
      for (const warning of applied.warnings) this.#log.warn(warning);
      this.#setState(path, { applying: false, applied });
      return applied;
    } catch (error) {
      this.#setState(path, { applying: false, problem: error instanceof Error ? error.message : String(error) });
      throw error;
    }
  }

  #setState(path: string, state: StackState): void {
    // An engine that has gone meanwhile has none.
    if (this.#loaded.includes(path)) this.#states.set(path, state);
    this.#changed.fire();
  }
}
