import { type TemplateResult, html, nothing, render } from "lit";
import "../shared/page.css";
import "./doctor.css";
import { HostConnection, HostError } from "../shared/host.ts";
import { format, hostChannel, readPageData } from "../shared/page.ts";
import type { DoctorAction, DoctorItem, DoctorProtocol, DoctorReport, DoctorTexts } from "./protocol.ts";

/** Looking for libraries starts a Python, which may take its time. */
const LOOK_MILLISECONDS = 120_000;

const data = readPageData();
const texts = data.texts as DoctorTexts;
const host = new HostConnection<DoctorProtocol>(hostChannel);

let report = data.start as DoctorReport;
let isLooking = false;
let failure = "";

function draw(): void {
  render(page(), document.body);
}

/** Runs what a button asks for; what goes wrong is said on the page. */
async function run(work: () => Promise<unknown>): Promise<void> {
  failure = "";
  try {
    await work();
  } catch (error) {
    failure = error instanceof HostError ? error.message : String(error);
  }
  draw();
}

async function look(): Promise<void> {
  isLooking = true;
  draw();
  await run(async () => {
    report = await host.request("look", null, { timeout: LOOK_MILLISECONDS });
  });
  isLooking = false;
  draw();
}

function page(): TemplateResult {
  return html`<main>
    <header>
      <h1>${texts.title}</h1>
      <p class="verdict">${report.verdict}</p>
      <p class="platform">${report.platform}</p>
      <div class="buttons">
        <button class="primary" ?disabled=${isLooking} @click=${look}>${isLooking ? texts.looking : texts.lookAgain}</button>
        <button @click=${() => run(() => host.request("copy", null))}>${texts.copy}</button>
        ${(["restart", "log", "settings"] as const).map(actionButton)}
      </div>
      <p class="failure" role="alert">${failure}</p>
    </header>
    ${group(texts.machine, report.machine)} ${report.engines.length > 0 ? group(texts.engines, report.engines) : nothing}
  </main>`;
}

function group(title: string, items: readonly DoctorItem[]): TemplateResult {
  return html`<section>
    <h2>${title}</h2>
    <ul class="findings">
      ${items.map(finding)}
    </ul>
  </section>`;
}

function finding({ name, state, stateText, version, where, advice, tried, actions }: DoctorItem): TemplateResult {
  return html`<li class="finding ${state}">
    <span class="mark" aria-hidden="true"></span>
    <div>
      <h3>${name} <span class="state">${stateText}</span></h3>
      ${version === undefined ? nothing : html`<p>${version}</p>`} ${where === undefined ? nothing : html`<p class="path">${where}</p>`}
      ${advice === undefined ? nothing : html`<p class="advice">${advice}</p>`} ${tried.length === 0 ? nothing : places(tried)}
      ${actions.length === 0 ? nothing : html`<div class="buttons">${actions.map(actionButton)}</div>`}
    </div>
  </li>`;
}

function places(tried: DoctorItem["tried"]): TemplateResult {
  return html`<details>
    <summary>${format(texts.tried, tried.length)}</summary>
    <dl>
      ${tried.map(
        ({ place, reason }) =>
          html`<dt class="path">${place}</dt>
            <dd>${reason}</dd>`,
      )}
    </dl>
  </details>`;
}

function actionButton(action: DoctorAction): TemplateResult {
  return html`<button @click=${() => run(() => host.request("act", { action }))}>${texts.actions[action]}</button>`;
}

host.on("report", (next) => {
  report = next;
  failure = "";
  draw();
});
draw();
