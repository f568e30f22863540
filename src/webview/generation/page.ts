import type { GenerationTexts } from "../../extension/generation/texts.ts";
import type { Progress } from "../../jobs/context.ts";
import type { PromptDescription } from "../../jobs/results.ts";
import { format } from "../shared/page.ts";
import { checkForm, type CheckedForm } from "./model/check.ts";
import type { GenerationForm } from "./model/form.ts";
import type { EngineChoice, HistoryItem, LoraChoice, PanelStart, PanelState, Refusal, SourcePicture, StackItem } from "./protocol.ts";

/** The list under a prompt while a LoRA's name is typed. */
export interface Completion {
  readonly field: "prompt" | "negative";
  readonly choices: readonly LoraChoice[];
  readonly active: number;
}

/** What was there before settings were restored: the form, and where it was replaced, the stack. */
export interface Undo {
  readonly form: GenerationForm;
  readonly stack?: { readonly engine: string; readonly items: readonly StackItem[] };
}

/** What is said at the foot of the form. */
export interface Notice {
  readonly text: string;
  readonly undo?: Undo;
}

/** Everything that is drawn. */
export interface PageState {
  readonly host: PanelState;
  /** False until the host has told its state the first time. */
  readonly ready: boolean;
  readonly form: GenerationForm;
  /** How the engine reads the prompts; absent while nobody knows. */
  readonly prompts?: { readonly prompt: PromptDescription; readonly negative: PromptDescription };
  /** The source as the page may show it. */
  readonly source?: SourcePicture;
  readonly refusal?: Refusal;
  /** Of a request that failed. */
  readonly problem?: string;
  readonly notice?: Notice;
  /** For screen readers. */
  readonly spoken: string;
  readonly completion?: Completion;
  readonly loading?: Progress;
  /** A scale that the host does not know yet. */
  readonly sliding?: { readonly file: string; readonly scale: number };
  /** The picture on the stage: of the history, and which of its batch. */
  readonly shown?: { readonly id: string; readonly index: number };
  /** Compared with the shown one; "choosing" while it is chosen. */
  readonly compared?: string;
  /** Where the divider stands, 0–100. */
  readonly divider: number;
  /** A picture is dragged over the page. */
  readonly dropTarget?: "source" | "page";
}

/** What the page knows, and what follows from it. Each change draws it again, once for all that change together. */
export class Page {
  readonly texts: GenerationTexts;
  readonly start: PanelStart;
  readonly #draw: () => void;
  #state: PageState;
  #waiting = false;

  constructor(texts: GenerationTexts, start: PanelStart, form: GenerationForm, draw: () => void) {
    this.texts = texts;
    this.start = start;
    this.#draw = draw;
    const host: PanelState = { trusted: true, engines: [], loras: [], stack: null, queue: { waiting: [] }, history: [] };
    this.#state = { host, ready: false, form, spoken: "", divider: 50 };
  }

  get state(): PageState {
    return this.#state;
  }

  /** Undefined takes a part away. */
  set(change: { readonly [K in keyof PageState]?: PageState[K] | undefined }): void {
    const entries = Object.entries({ ...this.#state, ...change }).filter(([, value]) => value !== undefined);
    this.#state = Object.fromEntries(entries) as unknown as PageState;
    if (this.#waiting) return;
    this.#waiting = true;
    queueMicrotask(() => {
      this.#waiting = false;
      this.#draw();
    });
  }

  setHost(change: Partial<PanelState>): void {
    this.set({ host: { ...this.#state.host, ...change } });
  }

  get engine(): EngineChoice | undefined {
    return this.#state.host.engines.find(({ path }) => path === this.#state.form.engine);
  }

  get checked(): CheckedForm {
    return checkForm(this.#state.form, this.engine, this.start);
  }

  /** The picture on the stage; the newest where none was chosen. */
  get shown(): HistoryItem | undefined {
    const { host, shown } = this.#state;
    return shown === undefined ? host.history[0] : host.history.find(({ id }) => id === shown.id);
  }

  text(name: keyof GenerationTexts, ...values: readonly (string | number)[]): string {
    return format(this.texts[name], ...values);
  }
}
