import { html, nothing, type TemplateResult } from "lit";
import type { Actions } from "../actions.ts";
import type { Page } from "../page.ts";
import type { HistoryItem, RunningJob } from "../protocol.ts";
import { closeIcon } from "./icons.ts";
import { setStyles } from "../../shared/set-styles.ts";

const MILLISECONDS_A_SECOND = 1000;

/** The picture, or the preview of the one that is being made, with what can be done with it; then the jobs that wait. */
export function stageSection(page: Page, actions: Actions): TemplateResult {
  const { running } = page.state.host.queue;
  const { shown } = page;
  return html`<section class="stage" aria-label=${page.texts.picture}>
    <div class="canvas">${running ? previewView(page, running) : shown ? pictureView(page, shown) : emptyView(page)}</div>
    ${running ? progressView(page, running) : shown ? toolbar(page, actions, shown) : nothing} ${queueView(page, actions)}
  </section>`;
}

function emptyView(page: Page): TemplateResult {
  return html`<p class="muted empty">${page.texts.nothingYet}</p>`;
}

function previewView(page: Page, { title, progress }: RunningJob): TemplateResult {
  const preview = progress?.preview;
  if (!preview) return emptyView(page);
  return html`<img class="preview" src="data:image/png;base64,${preview.data}" alt=${page.text("previewOf", title)} />`;
}

function progressView(page: Page, { title, seed, progress }: RunningJob): TemplateResult {
  const fraction = progress?.fraction;
  const percent = fraction === undefined ? undefined : Math.round(fraction * 100);
  const left = progress?.secondsLeft === undefined ? "" : page.text("left", page.text("seconds", Math.ceil(progress.secondsLeft)));
  return html`<div class="progress">
    <div
      class="bar ${percent === undefined ? "unknown" : ""}"
      role="progressbar"
      aria-label=${title}
      aria-valuemin="0"
      aria-valuemax="100"
      aria-valuenow=${percent ?? nothing}
    >
      <div style=${setStyles({ width: `${percent ?? 100}%` })}></div>
    </div>
    <div class="label-line muted numbers">
      <span>${[progress?.stage, progress?.message].filter((part) => part !== undefined && part !== "").join(": ")}</span>
      <span>${left}</span><span>${page.text("seedOf", seed)}</span>
    </div>
  </div>`;
}

function pictureView(page: Page, item: HistoryItem): TemplateResult {
  const { compared, shown, divider, host } = page.state;
  const picture = item.pictures[shown?.index ?? 0] ?? item.pictures[0]!;
  const other = compared === undefined ? undefined : host.history.find(({ id }) => id === compared);
  const alt = page.text("pictureOf", item.form.prompt);
  if (!other) return html`<img src=${picture.uri} alt=${alt} @error=${(event: Event) => markGone(page, event)} />`;
  const right = { clipPath: `inset(0 0 0 ${divider}%)` };
  return html`<div class="comparison">
    <img src=${picture.uri} alt=${alt} />
    <img class="over" src=${other.pictures[0]!.uri} alt=${page.text("pictureOf", other.form.prompt)} style=${setStyles(right)} />
    <div class="divider" style=${setStyles({ left: `${divider}%` })}></div>
    <input
      type="range"
      min="0"
      max="100"
      .value=${String(divider)}
      aria-label=${page.texts.divider}
      @input=${(event: Event) => page.set({ divider: (event.target as HTMLInputElement).valueAsNumber })}
    />
  </div>`;
}

function markGone(page: Page, event: Event): void {
  const picture = event.target as HTMLImageElement;
  picture.alt = page.texts.fileGone;
  picture.classList.add("gone");
}

/** What a picture was made with, in one line, as people write it under pictures. */
export function parametersLine(page: Page, { form, stack, seed, milliseconds }: HistoryItem): string {
  const loras = stack.filter(({ enabled }) => enabled).map(({ name, scale }) => `${name} × ${scale}`);
  return [
    page.text("seedOf", seed),
    `${form.sampler} ${form.schedule}`,
    page.text("stepsOf", form.steps),
    page.text("guidanceOf", form.cfg),
    ...loras,
    page.text("seconds", (milliseconds / MILLISECONDS_A_SECOND).toFixed(1)),
  ].join(" · ");
}

function toolbar(page: Page, actions: Actions, item: HistoryItem): TemplateResult {
  const { texts } = page;
  const { shown, compared, host } = page.state;
  const index = shown?.index ?? 0;
  const { path } = item.pictures[index] ?? item.pictures[0]!;
  const button = (text: string, act: () => unknown, isPressed?: boolean): TemplateResult =>
    html`<button class="secondary small" type="button" aria-pressed=${isPressed ?? nothing} @click=${act}>${text}</button>`;
  return html`<div class="about">
    <p class="caption" title=${item.form.prompt}>${item.form.prompt}</p>
    <p class="muted numbers">${parametersLine(page, item)}</p>
    ${
      item.pictures.length > 1
        ? html`<div class="pages" role="group" aria-label=${texts.batch}>
            ${item.pictures.map((_picture, each) => button(String(each + 1), () => page.set({ shown: { id: item.id, index: each } }), each === index))}
          </div>`
        : nothing
    }
    <div class="toolbar" role="group" aria-label=${texts.picture}>
      ${button(texts.reuseSeed, () => actions.reuseSeed(item))} ${button(texts.startFromIt, () => actions.dropSource({ uri: path }))}
      ${
        host.history.length > 1
          ? button(texts.compare, () => page.set({ compared: compared === undefined ? "choosing" : undefined }), compared !== undefined)
          : nothing
      }
      ${button(texts.open, () => actions.open(path, "editor"))} ${button(texts.reveal, () => actions.open(path, "explorer"))}
      ${button(texts.delete, () => actions.remove(item))}
    </div>
    ${compared === "choosing" ? html`<p class="notice" role="status">${texts.chooseOther}</p>` : nothing}
  </div>`;
}

function queueView(page: Page, actions: Actions): TemplateResult | typeof nothing {
  const { waiting } = page.state.host.queue;
  if (waiting.length === 0) return nothing;
  return html`<div class="queue">
    <h2 id="queue-label">${page.texts.queue}</h2>
    <ol aria-labelledby="queue-label">
      ${waiting.map(
        ({ id, title, seed, pictures }) =>
          html`<li>
            <span class="name">${title}</span>
            <span class="muted numbers">${pictures > 1 ? `${pictures} × ` : ""}${page.text("seedOf", seed)}</span>
            <button class="plain" type="button" title=${page.text("takeOut", title)} @click=${() => actions.cancel(id)}>
              ${closeIcon}<span class="visually-hidden">${page.text("takeOut", title)}</span>
            </button>
          </li>`,
      )}
    </ol>
  </div>`;
}
