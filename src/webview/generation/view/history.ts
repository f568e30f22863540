import { html, nothing, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import type { Actions } from "../actions.ts";
import type { Page } from "../page.ts";
import type { HistoryItem } from "../protocol.ts";
import { parametersLine } from "./stage.ts";

/** The pictures that were made, newest first: one is in the order of the Tab key, arrows go to the others. */
export function historySection(page: Page, actions: Actions): TemplateResult {
  const { history } = page.state.host;
  return html`<section class="history" aria-labelledby="history-label">
    <h2 id="history-label">${page.texts.history}${history.length === 0 ? nothing : html`<span class="count">${history.length}</span>`}</h2>
    ${history.length === 0 ? html`<p class="muted">${page.texts.noHistory}</p>` : nothing}
    <ul class="thumbnails" @keydown=${(event: KeyboardEvent) => moveFocus(event)}>
      ${repeat(
        history,
        ({ id }) => id,
        (item, index) => html`<li>${thumbnail(page, actions, item, index)}</li>`,
      )}
    </ul>
  </section>`;
}

function thumbnail(page: Page, actions: Actions, item: HistoryItem, index: number): TemplateResult {
  const { compared } = page.state;
  const isShown = page.shown?.id === item.id;
  const choose = (): void => {
    if (compared === undefined) void actions.restoreItem(item);
    else if (!isShown) page.set({ compared: item.id });
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "Delete") void actions.remove(item);
  };
  const line = parametersLine(page, item);
  return html`<button
    class="thumbnail ${item.isGrid ? "is-grid" : ""} ${compared === item.id ? "compared" : ""}"
    type="button"
    tabindex=${(page.shown ? isShown : index === 0) ? 0 : -1}
    aria-current=${isShown ? "true" : nothing}
    aria-label="${page.text("restore", item.form.prompt)}: ${line}"
    title="${item.form.prompt}
${line}"
    @click=${choose}
    @keydown=${onKey}
  >
    <img src=${item.pictures[0]!.uri} alt="" loading="lazy" />
    ${item.pictures.length > 1 ? html`<span class="badge numbers">${item.pictures.length}</span>` : nothing}
  </button>`;
}

/** Arrow keys, Home and End between the thumbnails. */
function moveFocus(event: KeyboardEvent): void {
  const list = event.currentTarget as HTMLElement;
  const all = [...list.querySelectorAll<HTMLElement>(".thumbnail")];
  const at = all.indexOf(document.activeElement as HTMLElement);
  const across = all.filter((each) => each.offsetTop === all[0]?.offsetTop).length;
  const steps: Readonly<Record<string, number>> = {
    ArrowRight: at + 1,
    ArrowLeft: at - 1,
    ArrowDown: at + across,
    ArrowUp: at - across,
    Home: 0,
    End: all.length - 1,
  };
  const to = steps[event.key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  all[Math.min(Math.max(to, 0), all.length - 1)]?.focus();
}
