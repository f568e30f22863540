import { html, nothing, type TemplateResult } from "lit";
import type { Actions } from "../actions.ts";
import type { Page } from "../page.ts";
import { problemLine, select } from "./fields.ts";
import { historySection } from "./history.ts";
import { promptFields } from "./prompts.ts";
import { gridSection, settingsSection, sourceSection } from "./settings.ts";
import { stackSection } from "./stack.ts";
import { stageSection } from "./stage.ts";

/** The key that goes with Enter, as this machine's keyboards name it. */
const MODIFIER = /Mac/.test(navigator.platform) ? "⌘" : "Ctrl+";

/** The whole page: what is asked for on the left, what came of it on the right. */
export function pageView(page: Page, actions: Actions): TemplateResult {
  const { dropTarget, spoken } = page.state;
  return html`<div class="panel ${dropTarget === "page" ? "dropping" : ""}">
    <form class="form" aria-label=${page.texts.generate} @submit=${(event: Event) => event.preventDefault()}>
      ${engineSection(page, actions)} ${promptFields(page, actions)} ${stackSection(page, actions)} ${settingsSection(page, actions)}
      ${sourceSection(page, actions)} ${gridSection(page, actions)} ${actionBar(page, actions)}
    </form>
    <div class="result">${stageSection(page, actions)} ${historySection(page, actions)}</div>
    <div class="visually-hidden" role="status" aria-live="polite">${spoken}</div>
  </div>`;
}

function engineSection(page: Page, actions: Actions): TemplateResult {
  const { texts, engine } = page;
  const { host, ready, loading, form } = page.state;
  if (ready && host.engines.length === 0) return html`<p class="message" role="note">${texts.noEngine}</p>`;
  const choices = host.engines.map(({ path, name, detail }) => ({ value: path, label: detail === "" ? name : `${name} — ${detail}` }));
  return html`<div class="field engine">
    <div class="label-line">
      <label for="engine">${texts.engine}</label>
      <span class="muted ${engine?.memory === undefined ? "" : "loaded"}">${engineState(page)}</span>
    </div>
    <div class="engine-line">
      ${select({ id: "engine", value: engine ? form.engine : "", choices: engine ? choices : [{ value: "", label: texts.chooseEngine }, ...choices], onChange: (path) => actions.change({ engine: path }) })}
      <button
        class="secondary"
        type="button"
        ?disabled=${!engine || !host.trusted || loading !== undefined}
        @click=${() => actions.toggleLoaded()}
      >
        ${engine?.memory === undefined ? texts.load : texts.unload}
      </button>
    </div>
    ${problemLine(page, "engine")}
  </div>`;
}

/** Whether the engine is in memory: the worker tells of one that a job loads only when the job has ended. */
function engineState(page: Page): string {
  const { texts, engine } = page;
  if (!engine) return "";
  if (page.state.loading) return texts.loading;
  if (engine.memory !== undefined) return page.text("inMemory", engine.memory);
  return page.state.host.queue.running ? texts.inUse : texts.notLoaded;
}

/** What the form leads to, always in sight. */
function actionBar(page: Page, actions: Actions): TemplateResult {
  const { texts } = page;
  const { host, form, problem, notice } = page.state;
  const { running, paused } = host.queue;
  const word = form.isGrid ? texts.generateGrid : texts.generate;
  return html`<div class="actions">
    ${
      host.trusted
        ? nothing
        : html`<p class="message" role="note">
            ${texts.restricted} <button class="link" type="button" @click=${() => actions.manageTrust()}>${texts.manageTrust}</button>
          </p>`
    }
    ${
      paused === undefined
        ? nothing
        : html`<p class="message" role="note">
            ${paused === "reloaded" ? texts.pausedByReload : texts.pausedByWorker}
            <button class="link" type="button" @click=${() => actions.continueQueue()}>${texts.continue}</button>
            <button class="link" type="button" @click=${() => actions.discardQueue()}>${texts.discard}</button>
          </p>`
    }
    ${[problem, host.queue.problem].map((text) => (text === undefined ? nothing : html`<p class="problem" role="alert">${text}</p>`))}
    ${
      notice && notice.text !== ""
        ? html`<p class="notice">
            ${notice.text}
            ${notice.undo ? html`<button class="link" type="button" @click=${() => actions.undo()}>${texts.undo}</button>` : nothing}
          </p>`
        : nothing
    }
    <div class="buttons">
      <button
        class="primary"
        type="button"
        name="generate"
        aria-keyshortcuts="Control+Enter"
        ?disabled=${!host.trusted}
        @click=${() => actions.start()}
      >
        ${running ? texts.addToQueue : word}<kbd aria-hidden="true">${MODIFIER}↵</kbd>
      </button>
      <button
        class="secondary"
        type="button"
        name="cancel"
        aria-keyshortcuts="Escape"
        ?disabled=${!running}
        @click=${() => actions.cancelRunning()}
      >
        ${texts.cancel}
      </button>
    </div>
  </div>`;
}
