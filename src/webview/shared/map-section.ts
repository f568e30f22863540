import { html, nothing, type TemplateResult } from "lit";
import type { ChosenCell } from "./map-element.ts";
import type { MapComponent } from "./network.ts";
import type { PictureFormat } from "./page-shell.ts";
import { radioGroup } from "./radio-group.ts";
import type { FigureTexts, MapTexts } from "./texts.ts";

export interface MapSection<Measure extends string> {
  readonly texts: MapTexts & FigureTexts & { readonly mapTitle: string };
  /** What the map can show; empty where there is nothing to choose. */
  readonly measures: readonly (readonly [Measure, string])[];
  readonly measure: Measure;
  readonly components: readonly MapComponent[];
  /** What the colours stand for, with its unit. */
  readonly legend: string;
  readonly number: (value: number | undefined) => string;
  /** What the strongest colour stands for; absent: the largest square. */
  readonly maximum?: number | undefined;
  readonly theme: number;
  readonly onMeasure: (measure: Measure) => void;
  readonly onChoose: (cell: ChosenCell) => void;
  readonly onSave: (format: PictureFormat) => void;
}

/** The map of the network with its title, the choice of what it shows, and the buttons that save it. */
export function mapSection<Measure extends string>(map: MapSection<Measure>): TemplateResult {
  const { texts, measures, onSave } = map;
  return html`<section class="overview-map" aria-label=${texts.mapTitle}>
    <div class="section-head">
      <h2>${texts.mapTitle}</h2>
      ${measures.length === 0 ? nothing : radioGroup(texts.mapTitle, measures, map.measure, map.onMeasure)}
      <span class="spacer"></span>
      <button class="link" @click=${() => onSave("svg")}>${texts.saveSvg}</button>
      <button class="link" @click=${() => onSave("png")}>${texts.savePng}</button>
    </div>
    <p class="muted">${texts.mapHelp}</p>
    <redux-map
      .components=${map.components}
      .texts=${texts}
      .legend=${map.legend}
      .format=${map.number}
      .maximum=${map.maximum}
      .theme=${map.theme}
      @choose=${(event: CustomEvent<ChosenCell>) => map.onChoose(event.detail)}
    ></redux-map>
  </section>`;
}
