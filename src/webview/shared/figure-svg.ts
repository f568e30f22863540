import { cssColour, inkOn, sequentialScale } from "./colours.ts";
import { largestCell, type MapComponent } from "./network.ts";

/* Figures as SVG files: they stand alone, so that fonts, sizes and colours are written out. */

export interface FigureStyle {
  readonly ground: string;
  readonly ink: string;
  readonly muted: string;
  readonly accent: string;
  readonly second: string;
  readonly isDark: boolean;
}

export interface ChartSeries {
  readonly label: string;
  /** As many as `x`, or fewer: the last ones have no value. */
  readonly y: readonly number[];
  readonly kind: "bars" | "line" | "dashes";
  /** A share from 0 to 1 has its own axis, on the right. */
  readonly isShare?: boolean;
}

export interface ChartFigure {
  readonly title: string;
  readonly x: readonly number[];
  readonly xLabel: string;
  readonly yLabel: string;
  readonly isLog: boolean;
  readonly series: readonly ChartSeries[];
}

/** The colour of a chart's series; no chart has more than three. */
export function seriesColour({ accent, second, ink }: FigureStyle, index: number): string {
  return [accent, second, ink][index]!;
}

/** Strokes and gaps of a series of dashes. */
export const DASHES = [6, 4];

const FONT = "font-family='system-ui, sans-serif'";
const [WIDTH, HEIGHT] = [640, 360];
const MARGIN = { top: 56, right: 56, bottom: 48, left: 72 };

export function chartSvg(figure: ChartFigure, style: FigureStyle, number: (value: number) => string): string {
  const [innerWidth, innerHeight] = [WIDTH - MARGIN.left - MARGIN.right, HEIGHT - MARGIN.top - MARGIN.bottom];
  const [low, high] = [figure.x[0] ?? 0, figure.x.at(-1) ?? 1];
  const toX = (value: number) => MARGIN.left + (high === low ? 0.5 : (value - low) / (high - low)) * innerWidth;
  const own = figure.series.filter(({ isShare }) => !isShare).flatMap(({ y }) => y);
  const positive = own.filter((value) => value > 0);
  const [bottom, top] = figure.isLog
    ? [Math.log10(Math.min(...positive, 1)), Math.log10(Math.max(...positive, 1))]
    : [0, Math.max(...own, 0)];
  const place = (value: number, isShare: boolean) => {
    if (isShare) return value;
    const scaled = figure.isLog ? Math.log10(Math.max(value, 10 ** bottom)) : value;
    return top === bottom ? 0.5 : (scaled - bottom) / (top - bottom);
  };
  const toY = (value: number, isShare = false) => MARGIN.top + (1 - place(value, isShare)) * innerHeight;
  const step = innerWidth / Math.max(1, figure.x.length - 1);
  const drawn = figure.series.map(({ y, kind, isShare = false }, index) => {
    const colour = seriesColour(style, index);
    if (kind === "bars") {
      return y
        .map((value, i) => {
          const from = toY(value);
          return `<rect x='${(toX(figure.x[i]!) - step / 2).toFixed(1)}' y='${from.toFixed(1)}' width='${step.toFixed(2)}' height='${(MARGIN.top + innerHeight - from).toFixed(1)}' fill='${colour}'/>`;
        })
        .join("");
    }
    const points = y.map((value, i) => `${toX(figure.x[i]!).toFixed(1)},${toY(value, isShare).toFixed(1)}`).join(" ");
    const dashes = kind === "dashes" ? ` stroke-dasharray='${DASHES.join(" ")}'` : "";
    return `<polyline points='${points}' fill='none' stroke='${colour}' stroke-width='2'${dashes}/>`;
  });
  const ticks = [0, 0.5, 1].map((part) => {
    const value = figure.isLog ? 10 ** (bottom + part * (top - bottom)) : bottom + part * (top - bottom);
    return text(MARGIN.left - 8, MARGIN.top + (1 - part) * innerHeight + 4, number(value), style.muted, "end");
  });
  const shareTicks = figure.series.some(({ isShare }) => isShare)
    ? [0, 0.5, 1].map((part) => text(WIDTH - MARGIN.right + 8, toY(part, true) + 4, `${100 * part} %`, style.muted, "start"))
    : [];
  const labels = [
    text(MARGIN.left, 24, figure.title, style.ink, "start", 15, 600),
    text(MARGIN.left, HEIGHT - 26, number(low), style.muted, "start"),
    text(WIDTH - MARGIN.right, HEIGHT - 26, number(high), style.muted, "end"),
    text(MARGIN.left + innerWidth / 2, HEIGHT - 10, figure.xLabel, style.muted, "middle"),
    `<g transform='translate(16 ${MARGIN.top + innerHeight / 2}) rotate(-90)'>${text(0, 0, figure.yLabel, style.muted, "middle")}</g>`,
  ];
  const frame = `<path d='M${MARGIN.left} ${MARGIN.top}V${MARGIN.top + innerHeight}H${WIDTH - MARGIN.right}' fill='none' stroke='${style.muted}'/>`;
  return document(WIDTH, HEIGHT, style, [...drawn, seriesNames(figure.series, style), frame, ...ticks, ...shareTicks, ...labels].join(""));
}

/** The names of several series in their colours, below the title; of one the axis tells it. */
function seriesNames(series: readonly ChartSeries[], style: FigureStyle): string {
  if (series.length < 2) return "";
  const names = series.map(
    ({ label }, index) => `<tspan dx='${index === 0 ? 0 : 16}' fill='${seriesColour(style, index)}'>${escapeXml(label)}</tspan>`,
  );
  return `<text x='${MARGIN.left}' y='42' ${FONT} font-size='12'>${names.join("")}</text>`;
}

const CELL = 22;

export interface MapFigure {
  readonly title: string;
  readonly legend: string;
  readonly components: readonly MapComponent[];
  readonly names: (component: string) => string;
  readonly number: (value: number | undefined) => string;
  readonly maximum?: number | undefined;
}

export function mapSvg({ title, legend, components, names, number, maximum }: MapFigure, style: FigureStyle): string {
  const largest = maximum ?? largestCell(components);
  const scale = sequentialScale(style.isDark);
  const parts = [text(16, 24, title, style.ink, "start", 15, 600), text(16, 42, `${legend}: 0 – ${number(largest)}`, style.muted, "start")];
  let y = 64;
  let width = 420;
  for (const { component, roles, blocks } of components) {
    parts.push(text(16, y + 4, names(component), style.ink, "start", 13, 600));
    y += 78;
    for (const [column, role] of roles.entries()) {
      parts.push(`<g transform='translate(${106 + column * CELL} ${y - 6}) rotate(-60)'>${text(0, 0, role, style.muted, "start", 10)}</g>`);
    }
    for (const { block, cells, total } of blocks) {
      parts.push(text(84, y + 15, block, style.ink, "end", 11));
      for (const [column, role] of roles.entries()) {
        const cell = cells.get(role);
        if (!cell) continue;
        const colour = cell.value === undefined ? undefined : scale(largest === 0 ? 0 : cell.value / largest);
        const x = 92 + column * CELL;
        parts.push(
          `<rect x='${x}' y='${y}' width='${CELL - 2}' height='${CELL - 2}' rx='2' fill='${colour ? cssColour(colour) : "none"}' stroke='${style.muted}' stroke-width='0.5'/>`,
        );
        if (cell.layers.length > 1 && colour)
          parts.push(text(x + CELL / 2 - 1, y + 14, String(cell.layers.length), inkOn(colour), "middle", 9));
      }
      parts.push(text(104 + roles.length * CELL, y + 15, number(total), style.ink, "start", 11));
      y += CELL;
    }
    width = Math.max(width, 200 + roles.length * CELL);
    y += 28;
  }
  return document(width, y, style, parts.join(""));
}

/** A picture (as a data URL) with a title and a scale below. */
export function pictureSvg(
  title: string,
  legend: string,
  picture: { readonly url: string; readonly width: number; readonly height: number },
  style: FigureStyle,
): string {
  const { url, width, height } = picture;
  const image = `<image x='16' y='40' width='${width}' height='${height}' href='${url}' style='image-rendering:pixelated'/>`;
  const labels = text(16, 26, title, style.ink, "start", 15, 600) + text(16, height + 60, legend, style.muted, "start");
  return document(width + 32, height + 76, style, image + labels);
}

function text(x: number, y: number, content: string, fill: string, anchor: string, size = 12, weight = 400): string {
  return `<text x='${x}' y='${y}' ${FONT} font-size='${size}' font-weight='${weight}' fill='${fill}' text-anchor='${anchor}'>${escapeXml(content)}</text>`;
}

function document(width: number, height: number, { ground }: FigureStyle, content: string): string {
  return `<svg xmlns='http://www.w3.org/2000/svg' width='${width}' height='${height}' viewBox='0 0 ${width} ${height}'><rect width='100%' height='100%' fill='${ground}'/>${content}</svg>`;
}

function escapeXml(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
