import { html, type TemplateResult } from "lit";

/** Choices side by side, as radio buttons: one in the tab order, arrow keys change. */
export function radioGroup<Value extends string>(
  label: string,
  choices: readonly (readonly [Value, string])[],
  current: Value,
  onChange: (value: Value) => void,
): TemplateResult {
  const move = (event: KeyboardEvent): void => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (step === undefined) return;
    const place = choices.findIndex(([value]) => value === current);
    const next = (place + step + choices.length) % choices.length;
    onChange(choices[next]![0]);
    (event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>("[role=radio]")[next]?.focus();
    event.preventDefault();
  };
  return html`<div class="segmented" role="radiogroup" aria-label=${label} @keydown=${move}>
    ${choices.map(
      ([value, text]) =>
        html`<button role="radio" aria-checked=${value === current} tabindex=${value === current ? 0 : -1} @click=${() => onChange(value)}>
          ${text}
        </button>`,
    )}
  </div>`;
}
