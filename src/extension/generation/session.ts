import { randomInt } from "node:crypto";
import * as vscode from "vscode";
import type { GenerationForm, KeptForm } from "../../webview/generation/model/form.ts";
import type { JobRequest, Refusal } from "../../webview/generation/protocol.ts";
import type { JobProgress } from "../../worker/protocol.ts";
import type { Services } from "../commands/services.ts";
import { setting } from "../contributions.ts";
import { outputFile } from "../outputFile.ts";
import type { Stack } from "../stack/entries.ts";
import type { Stacks } from "../stack/stacks.ts";
import { requireTrust } from "../trust.ts";
import type { Cancellation } from "../worker/connection.ts";
import { loraChoices } from "./choices.ts";
import { History, type HistoryRecord } from "./history.ts";
import { KeptJobs } from "./kept-jobs.ts";
import { JobQueue, type QueueJob, type Queued } from "./queue.ts";
import { type PanelJob, toJob } from "./request.ts";

/** A job of the queue, and what the history is to say of it. */
interface SessionJob extends QueueJob {
  readonly work: PanelJob;
  readonly form: GenerationForm;
  readonly stack: Stack;
}

/** An engine's stack when a job was asked for: all of it, and what it applies. */
interface RequestedStack {
  readonly entries: Stack;
  readonly references: ReturnType<Stacks["references"]>;
}

/** What of the session has changed. */
export type SessionPart = "queue" | "history";

const FORM_KEY = "generation.form";
const TITLE_LENGTH = 80;
/** How long a window may take to end after it was closed or reloaded, and how often that is looked at. */
const ENDING_MILLISECONDS = 60_000;
const LOOK_MILLISECONDS = 500;
/** As large as the WebUI family's random seeds. */
const SEEDS = 2 ** 32;

/** The form where nothing was typed yet. */
export function defaultForm(): GenerationForm {
  return {
    engine: "",
    prompt: "",
    negative: setting("generate.negative"),
    width: "",
    height: "",
    steps: String(setting("generate.steps")),
    cfg: String(setting("generate.cfg")),
    cfgRescale: "0",
    sampler: setting("generate.sampler"),
    schedule: setting("generate.schedule"),
    seed: "0",
    seedMode: "random",
    batch: "1",
    source: "",
    strength: "0.75",
    isGrid: false,
    x: { option: "cfg", lora: "", values: "2, 4, 7" },
    y: { option: "", lora: "", values: "" },
  };
}

/** The jobs of the generation panel, their history and the form: they outlive the panel, and where the workspace keeps them, the window. */
export class GenerationSession implements vscode.Disposable {
  readonly #services: Services;
  readonly #queue: JobQueue<SessionJob>;
  readonly #changed = new vscode.EventEmitter<SessionPart>();
  readonly #progressed = new vscode.EventEmitter<{ readonly id: string; readonly progress: JobProgress }>();
  readonly #done = new vscode.EventEmitter<HistoryRecord>();
  readonly onDidChange = this.#changed.event;
  readonly onDidProgress = this.#progressed.event;
  readonly onDidFinish = this.#done.event;
  readonly #history: History;
  #timer: NodeJS.Timeout | undefined;
  #starting: Promise<unknown> = Promise.resolve();

  constructor(services: Services) {
    this.#services = services;
    const { memory } = services;
    this.#history = new History(memory);
    const kept = new KeptJobs<SessionJob>(memory);
    this.#queue = new JobQueue({
      run: (queued, onProgress, cancellation) => this.#run(queued, onProgress, cancellation),
      onChange: (jobs) => {
        kept.save(jobs).catch((error: unknown) => services.log.warn(`The queue was not kept: ${String(error)}`));
        this.#changed.fire("queue");
      },
      onProgress: (id, progress) => this.#progressed.fire({ id, progress }),
    });
    this.#adopt(kept, ENDING_MILLISECONDS / LOOK_MILLISECONDS);
  }

  /** Takes over what ended windows left; one that is just being closed is waited for. */
  #adopt(kept: KeptJobs<SessionJob>, looks: number): void {
    this.#queue.adopt(kept.takeLeft());
    if (looks > 0 && kept.others.length > 0) this.#timer = setTimeout(() => this.#adopt(kept, looks - 1), LOOK_MILLISECONDS);
  }

  get queue(): Pick<JobQueue<SessionJob>, "view" | "cancel" | "continue" | "discard"> {
    return this.#queue;
  }

  get history(): readonly HistoryRecord[] {
    return this.#history.records;
  }

  /** The form as it was kept last; it may be of another version. */
  get keptForm(): unknown {
    return this.#services.memory.get(FORM_KEY);
  }

  async keepForm(kept: KeptForm): Promise<void> {
    await this.#services.memory.update(FORM_KEY, kept);
  }

  /**
   * Puts a job into the queue, with the stack as it is now.
   * @returns why it was not, where that belongs to a field
   */
  start(request: JobRequest): Promise<Refusal | null> {
    const { stacks } = this.#services;
    const { engine } = request.values;
    const stack = { entries: stacks.of(engine), references: stacks.references(engine) };
    // One request after the other: jobs stand in the queue as they were asked for.
    const started = this.#starting.then(() => this.#startWith(request, stack));
    this.#starting = started.catch(() => {});
    return started;
  }

  async #startWith(request: JobRequest, stack: RequestedStack): Promise<Refusal | null> {
    const { worker, files } = this.#services;
    requireTrust(vscode.l10n.t("Generating an image"));
    // Said now, and not when the job's turn comes.
    await outputFile(new Date());
    const { engine, prompt, negative } = request.values;
    const [first, second] = await worker.describePrompts(engine, [prompt, negative]);
    const seed = request.values.seed ?? String(randomInt(SEEDS));
    const work = toJob(request, {
      prompts: [first!, second!],
      stack: stack.references,
      loras: loraChoices(files),
      backend: setting("backend"),
      base: setting("load.base"),
      seed,
      unknownLora: (name) => vscode.l10n.t("There is no LoRA or delta named {0} in this workspace.", name),
    });
    if ("field" in work) return work;
    const { batch, grid } = request.values;
    const pictures = grid ? grid.x.values.length * (grid.y?.values.length ?? 1) : batch;
    this.#queue.add({ title: prompt.slice(0, TITLE_LENGTH), seed, pictures, work, form: request.form, stack: stack.entries });
    return null;
  }

  /** Takes a record out of the history; its pictures stay. */
  async forget(id: string): Promise<void> {
    await this.#history.remove(id);
    this.#changed.fire("history");
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#changed.dispose();
    this.#progressed.dispose();
    this.#done.dispose();
  }

  async #run({ id, job }: Queued<SessionJob>, onProgress: (progress: JobProgress) => void, cancellation: Cancellation): Promise<void> {
    const { work, form, stack, seed } = job;
    const { log } = this.#services;
    const output = await outputFile(new Date());
    log.info(`panel: ${work.kind} ${JSON.stringify(work.options)}`);
    const start = Date.now();
    const { pictures, warnings } = await this.#draw(work, output, onProgress, cancellation);
    const milliseconds = Date.now() - start;
    for (const warning of warnings) log.warn(warning);
    const record: HistoryRecord = { id, pictures, form, stack, seed, milliseconds, isGrid: work.kind === "grid" };
    await this.#history.add(record);
    this.#changed.fire("history");
    this.#done.fire(record);
  }

  async #draw(
    work: PanelJob,
    output: string,
    onProgress: (progress: JobProgress) => void,
    cancellation: Cancellation,
  ): Promise<{ readonly pictures: readonly string[]; readonly warnings: readonly string[] }> {
    const { worker } = this.#services;
    if (work.kind === "generate") {
      const { images, warnings } = await worker.runJob("generate", { ...work.options, output }, onProgress, cancellation);
      return { pictures: images, warnings };
    }
    const { image, warnings } = await worker.runJob("grid", { ...work.options, output }, onProgress, cancellation);
    return { pictures: [image], warnings };
  }
}
