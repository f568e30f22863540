import { html, nothing, type TemplateResult } from "lit";
import type { Actions } from "../actions.ts";
import type { Field } from "../model/form.ts";
import type { Page } from "../page.ts";

/** Fields whose text is the form's. */
export type TextField = Exclude<Field, "x" | "y">;

/** The line under a field that says why its value cannot be used. */
export function problemLine(page: Page, field: Field): TemplateResult | typeof nothing {
  const { refusal } = page.state;
  const problem = page.checked.problems[field];
  const text = problem ? page.text(problem.text, ...problem.values) : refusal?.field === field ? refusal.message : undefined;
  return text === undefined ? nothing : html`<p class="problem" id="problem-${field}">${text}</p>`;
}

/** Whether a field has a problem, for `aria-invalid`. */
export function isInvalid(page: Page, field: Field): boolean {
  return page.checked.problems[field] !== undefined || page.state.refusal?.field === field;
}

export interface InputOptions {
  readonly label: string;
  readonly placeholder?: string;
  /** "numeric" and "decimal" bring up the right keys on a touch screen. */
  readonly mode?: "numeric" | "decimal";
  /** Arrow keys change the number by as much. */
  readonly step?: number;
}

/** A labelled line of text. */
export function inputField(
  page: Page,
  actions: Actions,
  field: TextField,
  { label, placeholder, mode, step }: InputOptions,
): TemplateResult {
  const onKey = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0;
    const value = Number(page.state.form[field] || placeholder);
    if (step === undefined || by === 0 || !Number.isFinite(value)) return;
    event.preventDefault();
    actions.change({ [field]: String(Math.round((value + by * step) * 1000) / 1000) });
  };
  return html`<div class="field">
    <label for=${field}>${label}</label>
    <input
      id=${field}
      name=${field}
      class="numbers"
      autocomplete="off"
      spellcheck="false"
      inputmode=${mode ?? "text"}
      placeholder=${placeholder ?? ""}
      .value=${page.state.form[field]}
      aria-invalid=${isInvalid(page, field)}
      aria-describedby="problem-${field}"
      @input=${(event: InputEvent) => actions.change({ [field]: (event.target as HTMLInputElement).value })}
      @keydown=${onKey}
    />
    ${problemLine(page, field)}
  </div>`;
}

export interface Choice {
  readonly value: string;
  readonly label: string;
}

/** A labelled list of choices; a value that is none of them is shown as it is. */
export function selectField(
  page: Page,
  field: TextField,
  label: string,
  choices: readonly Choice[],
  onChange: (value: string) => void,
): TemplateResult {
  return html`<div class="field">
    <label for=${field}>${label}</label>
    ${select({ id: field, value: page.state.form[field], choices, onChange, isInvalid: isInvalid(page, field) })}
    ${problemLine(page, field)}
  </div>`;
}

interface SelectOptions {
  readonly id: string;
  readonly value: string;
  readonly choices: readonly Choice[];
  readonly onChange: (value: string) => void;
  readonly isInvalid?: boolean;
  readonly label?: string;
}

export function select({ id, value, choices, onChange, isInvalid: invalid, label }: SelectOptions): TemplateResult {
  const isKnown = choices.some((choice) => choice.value === value);
  const all = isKnown ? choices : [{ value, label: value }, ...choices];
  return html`<select
    id=${id}
    name=${id}
    aria-invalid=${invalid === true}
    aria-describedby="problem-${id}"
    aria-label=${label ?? nothing}
    @change=${(event: Event) => onChange((event.target as HTMLSelectElement).value)}
  >
    ${all.map((choice) => html`<option value=${choice.value} .selected=${choice.value === value}>${choice.label}</option>`)}
  </select>`;
}

/** Names as they are, for lists of samplers and schedules. */
export function asChoices(names: readonly string[]): Choice[] {
  return names.map((name) => ({ value: name, label: name }));
}
