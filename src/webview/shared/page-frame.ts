import { html, nothing, type TemplateResult } from "lit";
import type { PageTexts } from "./texts.ts";
import { tabBar } from "./tab-bar.ts";

export interface TabbedPage<Tab extends string> {
  readonly head: TemplateResult;
  readonly tabs: readonly (readonly [Tab, string])[];
  readonly tab: Tab;
  /** What the tab shows. */
  readonly panel: TemplateResult;
  readonly onTab: (tab: Tab) => void;
}

/** A head, tabs, and what the chosen one shows. */
export function tabbedPage<Tab extends string>({ head, tabs, tab, panel, onTab }: TabbedPage<Tab>): TemplateResult {
  return html`${head} ${tabBar(tabs, tab, onTab)}
    <main id="panel" role="tabpanel" aria-labelledby="tab-${tab}" class="panel-${tab}" tabindex=${tab === "layers" ? nothing : 0}>
      ${panel}
    </main>`;
}

/** In place of a page that cannot be shown: why, and another try. */
export function errorPage(title: string, error: string, { tryAgain }: Pick<PageTexts, "tryAgain">, onRetry: () => void): TemplateResult {
  return html`<main class="center">
    <div class="empty-state" role="alert">
      <h1>${title}</h1>
      <p>${error}</p>
      <button class="primary" @click=${onRetry}>${tryAgain}</button>
    </div>
  </main>`;
}

/** A number with its name: what it is called, its value, and what it means as a tooltip. Left out where there is no value. */
export type NamedNumber = readonly [term: string, value: string | undefined, about?: string];

/** Names and numbers. */
export function numberList(numbers: readonly NamedNumber[], className: string | typeof nothing = nothing): TemplateResult {
  const shown = numbers.filter(([, value]) => value !== undefined);
  return html`<dl class=${className}>
    ${shown.map(
      ([term, value, about]) =>
        html`<div title=${about ?? term}>
          <dt>${term}</dt>
          <dd class="numbers">${value}</dd>
        </div>`,
    )}
  </dl>`;
}

/** What a person has to know beside the numbers. */
export function notesSection(notes: readonly string[], texts: Pick<PageTexts, "notes">): TemplateResult | typeof nothing {
  if (notes.length === 0) return nothing;
  return html`<section aria-label=${texts.notes}>
    <h2>${texts.notes}</h2>
    <ul class="notes">
      ${notes.map((note) => html`<li>${note}</li>`)}
    </ul>
  </section>`;
}
