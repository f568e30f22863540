import { html, nothing, type TemplateResult } from "lit";
import type { InspectionHeader } from "../../jobs/inspection/types.ts";
import { lastPart } from "../shared/layer-names.ts";
import { formatBytes } from "../shared/numbers.ts";
import { format } from "../shared/page.ts";
import type { InspectedFile, InspectorTexts } from "./protocol.ts";

export interface HeadProps {
  readonly header: InspectionHeader;
  readonly baseReason: InspectedFile["baseReason"];
  readonly fileName: string;
  readonly texts: InspectorTexts;
  readonly progress: Progress;
  readonly onChooseBase: () => void;
}

/** How far the numbers of the layers are. */
export interface Progress {
  readonly missing: number;
  readonly isRunning: boolean;
  /** Why they ended before their time. */
  readonly failure: string | undefined;
  /** A word for a while, in place of the rest; empty where there is none. */
  readonly status: string;
  readonly onStart: () => void;
  readonly onStop: () => void;
}

export function isAdapter({ kind }: InspectionHeader): boolean {
  return kind === "lora" || kind === "delta";
}

/** What the file is, what its changes are measured against, and how far the numbers are. */
export function headView(props: HeadProps): TemplateResult {
  const { header, fileName, texts } = props;
  const kinds = { lora: texts.kindLora, delta: texts.kindDelta, checkpoint: texts.kindCheckpoint, safetensors: texts.kindSafetensors };
  const facts = [kinds[header.kind], header.architectureLabel, formatBytes(header.bytes)].filter((fact) => fact !== undefined);
  return html`<header class="page-head">
    <div class="page-title">
      <h1>${fileName}</h1>
      <p class="muted">${facts.join(" · ")}</p>
    </div>
    <span class="spacer"></span>
    ${isAdapter(header) ? baseView(props) : nothing} ${progressView(props)}
  </header>`;
}

function baseView({ header: { base }, baseReason = "chosen", texts, onChooseBase }: HeadProps): TemplateResult {
  const text = { chosen: texts.base, madeFor: texts.baseMadeFor, onlyFit: texts.baseOnlyFit }[baseReason];
  return html`<div class="base">
    <span class="muted">${base ? format(text, lastPart(base.name)) : texts.noBase}</span>
    <button class="link" @click=${onChooseBase}>${texts.chooseBase}</button>
  </div>`;
}

function progressView({ header, texts, progress }: HeadProps): TemplateResult {
  const { missing, isRunning, failure, status, onStart, onStop } = progress;
  const total = header.layers.length;
  const done = total - missing;
  const button = (label: string, act: () => void) => html`<button class="link" @click=${act}>${label}</button>`;
  const startLabel = done > 0 ? texts.resume : format(texts.compute, formatBytes(header.bytes));
  return html`<div class="progress">
    ${isRunning ? html`<progress max=${total} value=${done} aria-label=${texts.computed}></progress>` : nothing}
    <span class="numbers ${failure === undefined ? "muted" : "error"}" role="status">
      ${status !== "" ? status : (failure ?? progressWords(done, total, isRunning, texts))}
    </span>
    ${missing === 0 ? nothing : isRunning ? button(texts.stop, onStop) : button(startLabel, onStart)}
  </div>`;
}

function progressWords(done: number, total: number, isRunning: boolean, texts: InspectorTexts): string | typeof nothing {
  if (done === total) return nothing;
  if (isRunning) return format(texts.computing, done, total);
  return done > 0 ? format(texts.stopped, done, total) : nothing;
}
