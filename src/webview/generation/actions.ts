import { HostError, type HostConnection } from "../shared/host.ts";
import { saveState } from "../shared/page.ts";
import { complete, insertTag, tagAt } from "./model/completion.ts";
import { readDropped, type Dropped } from "./model/dropped.ts";
import { restoreForm, type GenerationForm, type KeptForm } from "./model/form.ts";
import { restoreParameters } from "./model/restore.ts";
import type { Page, Undo } from "./page.ts";
import type { DroppedPicture, GenerationProtocol, HistoryItem, JobRequest, OpenIn, Refusal, StackItem } from "./protocol.ts";

/** Requests that wait for a person's choice, or for a large engine, are not given up: the longest time that a timer takes. */
const PATIENCE_MILLISECONDS = 2 ** 31 - 1;
/** After the last key, the form is kept and the tokens are counted. */
const TYPING_MILLISECONDS = 200;
/** After the last movement of a slider, the weights are changed. */
const SLIDING_MILLISECONDS = 120;

/** What a person does on the page. */
export class Actions {
  readonly #page: Page;
  readonly #host: HostConnection<GenerationProtocol>;
  #typing: ReturnType<typeof setTimeout> | undefined;
  #sliding: ReturnType<typeof setTimeout> | undefined;
  /** Sends the scale that waits. */
  #slid: (() => void) | undefined;

  constructor(page: Page, host: HostConnection<GenerationProtocol>) {
    this.#page = page;
    this.#host = host;
  }

  /** Changes the form, keeps it, and has the prompts' tokens counted again. */
  change(change: Partial<GenerationForm>): void {
    const form = { ...this.#page.state.form, ...change };
    this.#page.set({ form, refusal: undefined, ...(form.source === "" && { source: undefined }) });
    saveState(keptNow(form));
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => {
      void this.#attempt(() => this.#host.request("form/keep", keptNow(this.#page.state.form)));
      void this.countTokens();
    }, TYPING_MILLISECONDS);
  }

  async countTokens(): Promise<void> {
    const { prompt, negative } = this.#page.state.form;
    const engine = this.#page.engine?.path;
    if (engine === undefined) return this.#page.set({ prompts: undefined });
    await this.#attempt(async () => {
      const [first, second] = await this.#host.request("prompt/describe", { engine, prompts: [prompt, negative] });
      const { form } = this.#page.state;
      // What was typed meanwhile has an answer of its own.
      if (form.prompt === prompt && form.negative === negative) this.#page.set({ prompts: { prompt: first!, negative: second! } });
    });
  }

  /** Begins a job, or puts it behind the ones that run. */
  async start(): Promise<void> {
    // The job has the stack as it is seen.
    this.#slid?.();
    const { values } = this.#page.checked;
    const { form, host } = this.#page.state;
    this.#page.set({ problem: undefined, notice: undefined });
    if (!values || !host.trusted) return focusFirstProblem();
    await this.#attempt(async () => {
      const refusal = await this.#askForJob({ form, values });
      if (refusal) {
        this.#page.set({ refusal, spoken: refusal.message });
        document.querySelector<HTMLElement>(`[name="${refusal.field}"]`)?.focus();
        return;
      }
      this.#page.set({ spoken: this.#page.text("started", form.prompt), compared: undefined });
    });
  }

  /** A seed that counts up does so at once: a job that is asked for before the answer has the next one. Where there is no job, it goes back. */
  async #askForJob(request: JobRequest): Promise<Refusal | null> {
    const { seed, seedMode } = request.form;
    const answer = this.#host.request("job/start", request);
    if (seedMode !== "next") return answer;
    const next = String(BigInt(seed.trim()) + 1n);
    this.change({ seed: next });
    const goBack = (): void => void (this.#page.state.form.seed === next && this.change({ seed }));
    try {
      const refusal = await answer;
      if (refusal) goBack();
      return refusal;
    } catch (error) {
      goBack();
      throw error;
    }
  }

  cancel(id: string): Promise<void> {
    return this.#attempt(() => this.#host.request("job/cancel", { id }));
  }

  cancelRunning(): Promise<void> {
    const { running } = this.#page.state.host.queue;
    return running ? this.cancel(running.id) : Promise.resolve();
  }

  continueQueue(): Promise<void> {
    return this.#attempt(() => this.#host.request("queue/continue", null));
  }

  discardQueue(): Promise<void> {
    return this.#attempt(() => this.#host.request("queue/discard", null));
  }

  manageTrust(): Promise<void> {
    return this.#attempt(() => this.#host.request("trust", null, { timeout: PATIENCE_MILLISECONDS }));
  }

  async toggleLoaded(): Promise<void> {
    const { engine } = this.#page;
    if (!engine) return;
    if (engine.memory !== undefined) return this.#attempt(() => this.#host.request("engine/unload", { engine: engine.path }));
    this.#page.set({ loading: { stage: "" } });
    const onProgress = (loading: { readonly stage: string }): void => this.#page.set({ loading });
    await this.#attempt(() => this.#host.request("engine/load", { engine: engine.path }, { onProgress, timeout: PATIENCE_MILLISECONDS }));
    this.#page.set({ loading: undefined });
  }

  /** Moves a slider at once; the weights follow when it rests, or when another is moved. */
  slide({ file }: StackItem, scale: number): void {
    const { engine, state } = this.#page;
    if (!engine || !Number.isFinite(scale)) return;
    if (state.sliding && state.sliding.file !== file) this.#slid?.();
    const sliding = { file, scale };
    this.#page.set({ sliding });
    clearTimeout(this.#sliding);
    this.#slid = () => {
      clearTimeout(this.#sliding);
      this.#slid = undefined;
      const change = this.#attempt(() => this.#host.request("stack/change", { engine: engine.path, file, scale }));
      void change.then(() => this.#page.state.sliding === sliding && this.#page.set({ sliding: undefined }));
    };
    this.#sliding = setTimeout(this.#slid, SLIDING_MILLISECONDS);
  }

  switchLora({ file }: StackItem, enabled: boolean): Promise<void> {
    return this.#withEngine((engine) => this.#host.request("stack/change", { engine, file, enabled }));
  }

  addLora(): Promise<void> {
    return this.#withEngine((engine) => this.#host.request("stack/add", { engine }, { timeout: PATIENCE_MILLISECONDS }));
  }

  removeLora({ file }: StackItem): Promise<void> {
    return this.#withEngine((engine) => this.#host.request("stack/remove", { engine, file }));
  }

  pickSource(): Promise<void> {
    return this.#attempt(async () => {
      const source = await this.#host.request("source/pick", null, { timeout: PATIENCE_MILLISECONDS });
      if (source) this.#useSource(source);
    });
  }

  dropSource(dropped: Dropped): Promise<void> {
    return this.#attempt(async () => this.#useSource(await this.#host.request("source/drop", await this.#read(dropped))));
  }

  /** Puts the settings that a picture holds into the form. Its LoRAs are in its prompt: those of the stack are taken off. */
  restorePicture(dropped: Dropped): Promise<void> {
    return this.#attempt(async () => {
      const parameters = await this.#host.request("picture/parameters", await this.#read(dropped));
      const { host, form: before } = this.#page.state;
      const { form, unknown } = restoreParameters(before, parameters, host.engines);
      const undo = await this.#restore(form, /<lora:/i.test(form.prompt) ? [] : undefined);
      const isEmptied = undo.stack?.items.some(({ enabled }) => enabled) === true;
      const parts = [
        this.#page.texts.restored,
        ...(isEmptied ? [this.#page.texts.stackEmptied] : []),
        ...(unknown.length > 0 ? [this.#page.text("notKnown", unknown.join(", "))] : []),
      ];
      this.#tellRestored(parts.join(" "), undo);
    });
  }

  /** Shows a picture of the history and puts the settings that made it into the form and the stack. */
  restoreItem(item: HistoryItem): Promise<void> {
    this.#page.set({ shown: { id: item.id, index: 0 }, compared: undefined });
    const form = { ...restoreForm(item.form, this.#page.start.defaults), seed: item.seed, seedMode: "keep" as const };
    return this.#attempt(async () => this.#tellRestored(this.#page.texts.restored, await this.#restore(form, item.stack)));
  }

  undo(): Promise<void> {
    const undo = this.#page.state.notice?.undo;
    if (!undo) return Promise.resolve();
    return this.#attempt(async () => {
      if (undo.stack) await this.#host.request("stack/restore", undo.stack);
      await this.#restore(undo.form, undefined);
      this.#page.set({ notice: undefined });
    });
  }

  reuseSeed({ seed }: HistoryItem): void {
    this.change({ seed, seedMode: "keep" });
    this.#page.set({ notice: { text: this.#page.text("seedReused", seed) }, spoken: this.#page.text("seedReused", seed) });
  }

  open(path: string, place: OpenIn): Promise<void> {
    return this.#attempt(() => this.#host.request("history/open", { path, place }));
  }

  remove({ id }: HistoryItem): Promise<void> {
    return this.#attempt(() => this.#host.request("history/delete", { id }, { timeout: PATIENCE_MILLISECONDS }));
  }

  /** After each key in a prompt: the list of LoRAs, where one is being named. */
  suggest(field: "prompt" | "negative", area: HTMLTextAreaElement): void {
    const tag = tagAt(area.value, area.selectionStart);
    const choices = tag ? complete(this.#page.state.host.loras, tag.name, this.#page.engine) : [];
    this.#page.set({ completion: choices.length === 0 ? undefined : { field, choices, active: 0 } });
  }

  moveSuggestion(by: number): void {
    const { completion } = this.#page.state;
    if (!completion) return;
    const count = completion.choices.length;
    this.#page.set({ completion: { ...completion, active: (completion.active + by + count) % count } });
  }

  closeSuggestions(): void {
    this.#page.set({ completion: undefined });
  }

  acceptSuggestion(area: HTMLTextAreaElement, index: number): void {
    const { completion } = this.#page.state;
    const tag = tagAt(area.value, area.selectionStart);
    const chosen = completion?.choices[index];
    if (!completion || !tag || !chosen) return;
    const { text, selection } = insertTag(area.value, tag, area.selectionStart, chosen.name);
    area.value = text;
    area.focus();
    area.setSelectionRange(...selection);
    this.#page.set({ completion: undefined });
    this.change({ [completion.field]: text });
  }

  /**
   * Puts settings into the form, and LoRAs on the stack of the form's engine, which may be another than the one before.
   * @param items undefined: the stack stays
   * @returns what was there
   */
  async #restore(form: GenerationForm, items: readonly StackItem[] | undefined): Promise<Undo> {
    const { form: before } = this.#page.state;
    const { engine, source } = form;
    this.change(form);
    await this.#host.request("form/keep", keptNow(form));
    const held = items && engine !== "" ? await this.#host.request("stack/restore", { engine, items }) : undefined;
    if (source !== "" && source !== before.source) this.#page.set({ source: await this.#host.request("source/drop", { uri: source }) });
    return { form: before, ...(held && { stack: { engine, items: held } }) };
  }

  #tellRestored(text: string, undo: Undo): void {
    this.#page.set({ notice: { text, undo }, spoken: text });
  }

  #useSource(source: { readonly path: string; readonly name: string; readonly uri: string }): void {
    this.change({ source: source.path });
    this.#page.set({ source });
  }

  #read(dropped: Dropped): Promise<DroppedPicture> {
    return readDropped(dropped, this.#page.start.largestPicture, (name) => this.#page.text("tooLarge", name));
  }

  #withEngine(ask: (engine: string) => Promise<unknown>): Promise<void> {
    const { engine } = this.#page;
    return engine ? this.#attempt(() => ask(engine.path)) : Promise.resolve();
  }

  /** What goes wrong is said on the page. */
  async #attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof HostError && error.code === "cancelled") return;
      const problem = error instanceof Error ? error.message : String(error);
      this.#page.set({ problem, spoken: problem });
    }
  }
}

function keptNow(form: GenerationForm): KeptForm {
  return { form, at: Date.now() };
}

/** The first field with a problem gets the focus, so that the person reads it. */
function focusFirstProblem(): void {
  document.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
}
