import { html, nothing, type TemplateResult } from "lit";
import { live } from "lit/directives/live.js";
import type { Actions } from "../actions.ts";
import { parseNumber } from "../model/check.ts";
import type { Page } from "../page.ts";
import type { StackItem } from "../protocol.ts";
import { addIcon, closeIcon } from "./icons.ts";

/** The scales that a slider reaches; others can be typed. */
const SLIDER = { min: -1, max: 2, step: 0.05 };

/** The engine's LoRAs, each with a slider that changes its weights. */
export function stackSection(page: Page, actions: Actions): TemplateResult {
  const { stack } = page.state.host;
  const items = stack?.items ?? [];
  return html`<section class="stack" aria-labelledby="stack-label">
    <div class="label-line">
      <h2 id="stack-label">${page.texts.stack}</h2>
      <span class="refit numbers" role="status">${refitText(page)}</span>
      <button class="plain" type="button" ?disabled=${!page.engine} title=${page.texts.addLora} @click=${() => actions.addLora()}>
        ${addIcon}<span class="visually-hidden">${page.texts.addLora}</span>
      </button>
    </div>
    ${items.length === 0 ? html`<p class="muted">${page.texts.noStack}</p>` : nothing}
    <ul class="items">
      ${items.map((item, index) => stackRow(page, actions, item, index))}
    </ul>
    ${stack?.problem === undefined ? nothing : html`<p class="problem">${stack.problem}</p>`}
  </section>`;
}

function refitText(page: Page): string {
  const { stack } = page.state.host;
  if (!stack || stack.items.length === 0) return "";
  if (stack.applying) return page.texts.refitting;
  if (page.engine?.memory === undefined) return page.texts.appliedLater;
  return stack.refit === undefined ? "" : page.text("refit", stack.refit < 10 ? stack.refit.toFixed(1) : Math.round(stack.refit));
}

function stackRow(page: Page, actions: Actions, item: StackItem, index: number): TemplateResult {
  const { name, file, enabled } = item;
  const { sliding } = page.state;
  const scale = sliding?.file === file ? sliding.scale : item.scale;
  const slide = (event: Event): void => actions.slide(item, (event.target as HTMLInputElement).valueAsNumber);
  const type = (event: Event): void => {
    const value = parseNumber((event.target as HTMLInputElement).value);
    if (value !== undefined) actions.slide(item, value);
  };
  const label = page.text("scaleOf", name);
  return html`<li class=${enabled ? "" : "off"}>
    <input
      type="checkbox"
      id="lora-${index}"
      .checked=${live(enabled)}
      aria-label=${page.text("apply", name)}
      @change=${(event: Event) => actions.switchLora(item, (event.target as HTMLInputElement).checked)}
    />
    <label for="lora-${index}" class="name" title=${file}>${name}</label>
    <input
      type="range"
      class="scale"
      min=${Math.min(SLIDER.min, scale)}
      max=${Math.max(SLIDER.max, scale)}
      step=${SLIDER.step}
      .value=${live(String(scale))}
      aria-label=${label}
      @input=${slide}
    />
    <input class="number numbers" inputmode="decimal" aria-label=${label} .value=${String(scale)} @change=${type} />
    <button class="plain" type="button" title=${page.text("remove", name)} @click=${() => actions.removeLora(item)}>
      ${closeIcon}<span class="visually-hidden">${page.text("remove", name)}</span>
    </button>
  </li>`;
}
