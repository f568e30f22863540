import type { Memento } from "vscode";
import type { GenerationForm } from "../../webview/generation/model/form.ts";
import { isStack, type Stack } from "../stack/entries.ts";

/** Pictures that a job of the panel has made. */
export interface HistoryRecord {
  readonly id: string;
  /** Paths; those of one batch share everything else. */
  readonly pictures: readonly string[];
  readonly form: GenerationForm;
  readonly stack: Stack;
  readonly seed: string;
  readonly milliseconds: number;
  readonly isGrid: boolean;
}

/** As many records as the workspace keeps; older pictures stay on the disk. */
export const MOST_RECORDS = 200;

const PREFIX = "generation.history.";
/** Digits of a time in milliseconds, so that keys sort as times do. */
const TIME_DIGITS = 15;

/** The key of a record that was added at a time in milliseconds. */
export function historyKey(time: number, id: string): string {
  return `${PREFIX}${String(time).padStart(TIME_DIGITS, "0")}.${id}`;
}

/** The records of a workspace, each under a key of its own: what another window adds or takes away is left as it is. */
export class History {
  readonly #memory: Memento;

  constructor(memory: Memento) {
    this.#memory = memory;
  }

  /** Newest first, without what is not a record. */
  get records(): readonly HistoryRecord[] {
    return this.#keys().flatMap((key) => {
      const value = this.#memory.get<unknown>(key);
      return isRecord(value) ? [value] : [];
    });
  }

  /** Adds a record; those beyond what is kept go. */
  async add(record: HistoryRecord, now = Date.now()): Promise<void> {
    const added = this.#memory.update(historyKey(now, record.id), record);
    await Promise.all([
      added,
      ...this.#keys()
        .slice(MOST_RECORDS)
        .map((key) => this.#memory.update(key, undefined)),
    ]);
  }

  async remove(id: string): Promise<void> {
    const keys = this.#keys().filter((key) => key.endsWith(`.${id}`));
    await Promise.all(keys.map((key) => this.#memory.update(key, undefined)));
  }

  #keys(): string[] {
    return this.#memory
      .keys()
      .filter((key) => key.startsWith(PREFIX))
      .toSorted()
      .toReversed();
  }
}

/** What is on the disk may be of another version. */
function isRecord(value: unknown): value is HistoryRecord {
  if (typeof value !== "object" || value === null) return false;
  const { id, pictures, form, stack, seed, milliseconds } = value as Partial<Record<keyof HistoryRecord, unknown>>;
  const isPaths = Array.isArray(pictures) && pictures.length > 0 && pictures.every((path) => typeof path === "string");
  const isTexts = typeof id === "string" && typeof seed === "string" && typeof milliseconds === "number";
  return isPaths && isTexts && typeof form === "object" && form !== null && isStack(stack);
}
