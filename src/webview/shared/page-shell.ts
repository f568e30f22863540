import { render, type TemplateResult } from "lit";
import { pngBytes, svgBytes } from "./figure-file.ts";
import { messageOf } from "./host.ts";
import { saveState } from "./page.ts";
import type { SavedFile } from "./protocol.ts";
import type { FigureTexts, GridTexts } from "./texts.ts";

/** How long the status line shows a word. */
const STATUS_MILLISECONDS = 3_000;
/** For what asks a person, who takes the time they need. */
export const DIALOG_TIMEOUT = 3_600_000;

export type PictureFormat = "png" | "svg";

export interface ShellHost {
  copy(text: string): Promise<unknown>;
  /** False where the person turned away. */
  save(file: SavedFile): Promise<boolean>;
}

export interface ShellOptions<State extends object> {
  readonly root: HTMLElement;
  readonly texts: Pick<GridTexts, "copied"> & Pick<FigureTexts, "saved">;
  readonly state: State;
  readonly host: ShellHost;
  /** All that is shown; called once a frame at most. */
  readonly page: () => TemplateResult;
}

/** What pages about layers have in common: what they keep, when they are drawn, the word in their status line, copies and saved figures. */
export class PageShell<State extends object> {
  readonly #options: ShellOptions<State>;
  #state: State;
  #status = "";
  #theme = 0;
  #frame = 0;

  constructor(options: ShellOptions<State>) {
    this.#options = options;
    this.#state = options.state;
    new MutationObserver(() => {
      this.#theme++;
      this.draw();
    }).observe(document.body, { attributeFilter: ["class"] });
  }

  get state(): State {
    return this.#state;
  }

  /** Empty where there is nothing to say. */
  get status(): string {
    return this.#status;
  }

  /** Another number with every theme: what draws in colours of its own is drawn again. */
  get theme(): number {
    return this.#theme;
  }

  /** Changes what the page keeps, and draws it. */
  set(change: Partial<State>): void {
    this.keep(change);
    this.draw();
  }

  /** Changes what the page keeps where nothing that is drawn depends on it. */
  keep(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    saveState(this.#state);
  }

  /** Draws the page in the next frame. */
  draw(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => render(this.#options.page(), this.#options.root));
  }

  async copy(text: string): Promise<void> {
    await this.attempt(async () => {
      await this.#options.host.copy(text);
      this.#tell(this.#options.texts.copied);
    });
  }

  /** Has a figure saved where the person says. */
  async save(name: string, svg: string, format: PictureFormat): Promise<void> {
    await this.attempt(async () => {
      const bytes = format === "svg" ? svgBytes(svg) : await pngBytes(svg);
      if (await this.#options.host.save({ name: `${name}.${format}`, bytes })) this.#tell(this.#options.texts.saved);
    });
  }

  /** Does something; what goes wrong is said in the status line. */
  async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#tell(messageOf(error));
    }
  }

  /** A word in the status line, for a while. */
  #tell(text: string): void {
    this.#status = text;
    this.draw();
    setTimeout(() => {
      if (this.#status !== text) return;
      this.#status = "";
      this.draw();
    }, STATUS_MILLISECONDS);
  }
}
