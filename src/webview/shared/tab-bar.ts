import { html, type TemplateResult } from "lit";

/** Tabs as the ARIA authoring practices have them: one in the tab order, arrows, Home and End move. The panel has the id "panel". */
export function tabBar<Tab extends string>(
  tabs: readonly (readonly [Tab, string])[],
  current: Tab,
  onChange: (tab: Tab) => void,
): TemplateResult {
  const move = (event: KeyboardEvent): void => {
    const place = tabs.findIndex(([tab]) => tab === current);
    const target = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: tabs.length - 1 }[event.key];
    const next = target === undefined ? undefined : tabs[(target + tabs.length) % tabs.length];
    if (!next) return;
    event.preventDefault();
    onChange(next[0]);
    document.getElementById(`tab-${next[0]}`)?.focus();
  };
  return html`<div class="tabs" role="tablist" @keydown=${move}>
    ${tabs.map(
      ([tab, title]) =>
        html`<button
          id="tab-${tab}"
          role="tab"
          aria-selected=${tab === current}
          aria-controls="panel"
          tabindex=${tab === current ? 0 : -1}
          @click=${() => onChange(tab)}
        >
          ${title}
        </button>`,
    )}
  </div>`;
}
