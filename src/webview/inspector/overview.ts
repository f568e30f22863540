import { html, nothing, type TemplateResult } from "lit";
import type { InspectionHeader, LayerStatistics } from "../../jobs/inspection/types.ts";
import { shortName } from "../shared/layer-names.ts";
import { type MapSection, mapSection } from "../shared/map-section.ts";
import { networkMap, type Combine, type MapComponent } from "../shared/network.ts";
import { formatCount, formatNumber, formatShare } from "../shared/numbers.ts";
import { format } from "../shared/page.ts";
import { notesSection, numberList } from "../shared/page-frame.ts";
import { isAdapter } from "./head-view.ts";
import type { InspectorTexts } from "./protocol.ts";
import type { Measure } from "./state.ts";
import type { TrainingMetadata } from "./training-metadata.ts";

export interface OverviewProps extends Pick<MapSection<Measure>, "measure" | "theme" | "onMeasure" | "onChoose" | "onSave"> {
  readonly header: InspectionHeader;
  readonly rows: readonly (LayerStatistics | undefined)[];
  readonly training: TrainingMetadata;
  readonly texts: InspectorTexts;
  readonly onOpen: (layer: number) => void;
}

const STRONGEST = 8;

/** Facts about the file, the map of the network, and the layers that change most. */
export function overview(props: OverviewProps): TemplateResult {
  const { texts } = props;
  const { legend, number } = mapMeasure(props);
  const measures = [
    ["relative", texts.measureRelative],
    ["absolute", texts.measureAbsolute],
  ] as const;
  return html`<div class="overview">
    ${mapSection<Measure>({
      ...props,
      measures: props.header.base?.path === undefined ? [] : measures,
      components: mapComponents(props),
      legend,
      number,
    })}
    <aside class="overview-side">${facts(props)} ${strongest(props, number)} ${triggers(props)} ${notes(props)}</aside>
  </div>`;
}

/** What the map shows, with its unit. */
export function mapMeasure({ header, measure, texts }: Pick<OverviewProps, "header" | "measure" | "texts">) {
  const isRelative = header.base?.path !== undefined && measure === "relative";
  const legend = isRelative ? texts.mapRelativeLegend : isAdapter(header) ? texts.mapAbsoluteLegend : texts.mapTensorLegend;
  return { isRelative, legend, number: isRelative ? formatShare : formatNumber };
}

/** The map's squares: Frobenius norms of all their layers together, where a base is at hand over those of its weights. */
export function mapComponents(props: Pick<OverviewProps, "header" | "rows" | "measure" | "texts">): MapComponent[] {
  const { header, rows } = props;
  const { isRelative } = mapMeasure(props);
  const combine: Combine = (layers) => {
    let [square, base] = [0, 0];
    for (const layer of layers) {
      const row = rows[layer];
      if (row?.norm === undefined || (isRelative && row.baseNorm === undefined)) continue;
      square += row.norm ** 2;
      base += isRelative ? row.baseNorm! ** 2 : 1;
    }
    if (base === 0) return undefined;
    return isRelative ? Math.sqrt(square / base) : Math.sqrt(square);
  };
  return networkMap(header.layers, combine);
}

function facts({ header, rows, texts }: OverviewProps): TemplateResult {
  const ranks = Array.from(new Set(header.layers.flatMap(({ rank }) => (rank === undefined ? [] : [rank])))).toSorted((a, b) => a - b);
  const parameters = header.layers.reduce((sum, { shape }) => sum + (shape?.reduce((product, size) => product * size, 1) ?? 0), 0);
  const known = rows.filter((row) => row?.norm !== undefined);
  const total = Math.sqrt(known.reduce((sum, row) => sum + row!.norm! ** 2, 0));
  const rank = ranks.length > 1 ? `${ranks[0]} – ${ranks.at(-1)}` : ranks.length === 1 ? String(ranks[0]) : undefined;
  return html`<section class="facts" aria-label=${texts.overview}>
    ${numberList([
      [isAdapter(header) ? texts.layers : texts.tensors, formatCount(header.layers.length)],
      [ranks.length > 1 ? texts.ranks : texts.rank, rank],
      [texts.parameters, isAdapter(header) ? undefined : formatCount(parameters)],
      [texts.totalNorm, known.length === 0 ? undefined : formatNumber(total)],
    ])}
  </section>`;
}

function strongest(
  { header, rows, texts, measure, onOpen }: OverviewProps,
  number: (value: number | undefined) => string,
): TemplateResult | typeof nothing {
  const { isRelative } = mapMeasure({ header, measure, texts });
  const key = isRelative ? "relativeNorm" : "norm";
  const known = rows.flatMap((row, index) => (row?.[key] === undefined ? [] : [{ index, value: row[key] }]));
  const top = known.toSorted((a, b) => b.value - a.value).slice(0, STRONGEST);
  if (top.length === 0) return nothing;
  return html`<section aria-label=${texts.strongest}>
    <h2>${texts.strongest}</h2>
    <ol class="strongest">
      ${top.map(({ index, value }) => {
        const { name } = header.layers[index]!;
        return html`<li>
          <button class="link" title=${name} @click=${() => onOpen(index)}><bdi>${shortName(name)}</bdi></button
          ><span class="numbers">${number(value)}</span>
        </li>`;
      })}
    </ol>
  </section>`;
}

function triggers({ training: { triggerWords }, texts }: OverviewProps): TemplateResult | typeof nothing {
  if (triggerWords.length === 0) return nothing;
  return html`<section aria-label=${texts.triggerWords}>
    <h2>${texts.triggerWords}</h2>
    <p class="chips">${triggerWords.slice(0, 40).map((word) => html`<span class="chip">${word}</span>`)}</p>
  </section>`;
}

function notes({ header, rows, texts }: OverviewProps): TemplateResult | typeof nothing {
  const bad = rows.flatMap((row, index) => (row && row.nan + row.infinite > 0 ? [header.layers[index]!.name] : []));
  const reasons = Array.from(
    new Set(rows.flatMap((row) => (row?.reason !== undefined && row.nan + row.infinite === 0 ? [row.reason] : []))),
  );
  return notesSection([...(bad.length > 0 ? [format(texts.badLayers, bad.length)] : []), ...reasons, ...header.notes], texts);
}
