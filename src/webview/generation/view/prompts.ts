import { html, nothing, type TemplateResult } from "lit";
import { live } from "lit/directives/live.js";
import type { Actions } from "../actions.ts";
import type { Page } from "../page.ts";
import { isInvalid, problemLine } from "./fields.ts";

type PromptField = "prompt" | "negative";

export function promptFields(page: Page, actions: Actions): TemplateResult {
  return html`${promptField(page, actions, "prompt", 5)} ${promptField(page, actions, "negative", 2)}`;
}

function promptField(page: Page, actions: Actions, field: PromptField, rows: number): TemplateResult {
  const { completion } = page.state;
  const open = completion?.field === field ? completion : undefined;
  const problem = describedProblem(page, field);
  return html`<div class="field prompt">
    <div class="label-line">
      <label for=${field}>${page.texts[field]}</label>
      ${tokenCount(page, field)}
    </div>
    <textarea
      id=${field}
      name=${field}
      rows=${rows}
      spellcheck="false"
      placeholder=${field === "prompt" ? page.texts.promptHint : ""}
      .value=${live(page.state.form[field])}
      aria-invalid=${isInvalid(page, field) || problem !== undefined}
      aria-describedby="problem-${field} tokens-${field}"
      aria-autocomplete="list"
      aria-controls=${open ? "completion" : nothing}
      aria-activedescendant=${open ? `completion-${open.active}` : nothing}
      @input=${(event: InputEvent) => onInput(actions, field, event.target as HTMLTextAreaElement)}
      @keydown=${(event: KeyboardEvent) => onKey(page, actions, event)}
      @click=${(event: Event) => actions.suggest(field, event.target as HTMLTextAreaElement)}
      @blur=${() => actions.closeSuggestions()}
    ></textarea>
    ${open ? completionList(page, actions, field) : nothing} ${problemLine(page, field)}
    ${problem === undefined ? nothing : html`<p class="problem">${problem}</p>`}
  </div>`;
}

/** What the worker says of a prompt that it cannot read, or that is longer than the engine takes. */
function describedProblem(page: Page, field: PromptField): string | undefined {
  const described = page.state.prompts?.[field];
  if (!described || page.state.refusal?.field === field) return undefined;
  const { tokens, limit, room, problem } = described;
  if (problem !== undefined) return problem;
  return limit !== undefined && room > limit ? page.text("tooManyTokens", tokens, limit) : undefined;
}

function tokenCount(page: Page, field: PromptField): TemplateResult {
  const described = page.state.prompts?.[field];
  const text = described ? page.text("tokens", described.tokens, described.room) : "";
  return html`<span class="tokens numbers" id="tokens-${field}">${text}</span>`;
}

function onInput(actions: Actions, field: PromptField, area: HTMLTextAreaElement): void {
  actions.change({ [field]: area.value });
  actions.suggest(field, area);
}

/** Keys of the open list; the others are the text's. */
function onKey(page: Page, actions: Actions, event: KeyboardEvent): void {
  const { completion } = page.state;
  if (!completion || event.ctrlKey || event.metaKey || event.altKey) return;
  const area = event.target as HTMLTextAreaElement;
  const keys: Readonly<Record<string, () => void>> = {
    ArrowDown: () => actions.moveSuggestion(1),
    ArrowUp: () => actions.moveSuggestion(-1),
    Enter: () => actions.acceptSuggestion(area, completion.active),
    Tab: () => actions.acceptSuggestion(area, completion.active),
    Escape: () => actions.closeSuggestions(),
  };
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function completionList(page: Page, actions: Actions, field: PromptField): TemplateResult {
  const { choices, active } = page.state.completion!;
  const accept = (event: Event, index: number): void => {
    // The text keeps the focus.
    event.preventDefault();
    actions.acceptSuggestion(document.getElementById(field) as HTMLTextAreaElement, index);
  };
  return html`<ul class="completion" id="completion" role="listbox" aria-label=${page.texts.loraNames}>
    ${choices.map(
      (choice, index) =>
        html`<li
          id="completion-${index}"
          role="option"
          aria-selected=${index === active}
          @mousedown=${(event: Event) => accept(event, index)}
        >
          <span class="name">${choice.name}</span><span class="detail">${choice.detail}</span>
        </li>`,
    )}
  </ul>`;
}
