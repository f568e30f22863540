import { html, type PropertyValues, type TemplateResult } from "lit";
import uPlot from "uplot";
import { figureStyle } from "./figure-file.ts";
import { DASHES, seriesColour, type ChartFigure } from "./figure-svg.ts";
import { formatNumber } from "./numbers.ts";
import { SizedElement } from "./sized-element.ts";

const HEIGHT = 220;

/** A chart of bars or lines over one axis, with a readout of what is under the pointer. */
export class ChartElement extends SizedElement {
  static override properties = { figure: { attribute: false }, theme: { attribute: false } };

  declare figure: ChartFigure;
  /** Changes with the theme, whose colours are drawn in. */
  declare theme: number;
  #plot: uPlot | undefined;

  protected override resized(): void {
    this.#plot?.setSize({ width: this.#width, height: HEIGHT });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#plot?.destroy();
  }

  override render(): TemplateResult {
    // The numbers themselves are in the table and the copies; to who cannot see it the picture has a name.
    return html`<div class="chart" role="img" aria-label=${this.figure.title}></div>`;
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.size === 0) return;
    this.#plot?.destroy();
    const { x, series } = this.figure;
    const data = [x, ...series.map(({ y }) => x.map((_, index) => y[index] ?? null))] as uPlot.AlignedData;
    this.#plot = new uPlot(this.#options(), data, this.querySelector<HTMLElement>(".chart")!);
  }

  get #width(): number {
    return Math.max(240, this.clientWidth);
  }

  #options(): uPlot.Options {
    const { figure } = this;
    const style = figureStyle();
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const axis = {
      stroke: style.muted,
      font,
      labelFont: font,
      labelSize: 18,
      grid: { stroke: `${style.muted}33`, width: 1 },
      ticks: { stroke: style.muted, width: 1 },
    };
    const values = (_: uPlot, ticks: number[]) => ticks.map((tick) => (tick === null ? "" : shortNumber(tick)));
    const isShared = figure.series.some(({ isShare }) => isShare);
    return {
      width: this.#width,
      height: HEIGHT,
      legend: { live: true },
      cursor: { drag: { x: false, y: false } },
      scales: { x: { time: false }, y: figure.isLog ? { distr: 3 } : { range: (_, __, top) => [0, top] }, share: { range: [0, 1] } },
      axes: [
        { ...axis, label: figure.xLabel, values },
        { ...axis, label: figure.yLabel, size: 64, values },
        ...(isShared
          ? [
              {
                ...axis,
                scale: "share",
                side: 1 as const,
                grid: { show: false },
                size: 48,
                values: (_: uPlot, ticks: number[]) => ticks.map((tick) => `${Math.round(100 * tick)} %`),
              },
            ]
          : []),
      ],
      series: [
        { label: figure.xLabel, value: (_, value) => formatNumber(value ?? undefined) },
        ...figure.series.map(({ label, kind, isShare }, index): uPlot.Series => {
          const colour = seriesColour(style, index);
          const bars =
            kind === "bars"
              ? { paths: uPlot.paths.bars!({ size: [1, Infinity], gap: 1 }), fill: colour }
              : { width: 2, ...(kind === "dashes" && { dash: DASHES }) };
          const value = (_: uPlot, each: number | null) =>
            each === null ? "—" : isShare ? `${(100 * each).toFixed(1)} %` : formatNumber(each);
          return {
            label,
            stroke: colour,
            scale: isShare ? "share" : "y",
            points: { show: kind !== "bars" && figure.x.length <= 64, size: 4 },
            value,
            ...bars,
          };
        }),
      ],
    };
  }
}

/** A tick's number without the zeros at its end. */
function shortNumber(value: number): string {
  return formatNumber(value)
    .replace(/(\.\d*?)0+(?=$|e)/, "$1")
    .replace(/\.(?=$|e)/, "");
}

customElements.define("redux-chart", ChartElement);
