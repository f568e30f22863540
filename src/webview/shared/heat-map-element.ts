import { html, type PropertyValues, type TemplateResult } from "lit";
import { cssColour, divergingScale, parseColour } from "./colours.ts";
import { figureStyle } from "./figure-file.ts";
import { pictureSvg } from "./figure-svg.ts";
import { HeatMapTiles, TILE, type TileSource } from "./heat-map-tiles.ts";
import { formatNumber } from "./numbers.ts";
import { format } from "./page.ts";
import { SizedElement } from "./sized-element.ts";
import type { HeatMapTexts } from "./texts.ts";
import { isDarkTheme } from "./theme.ts";
import { setStyles } from "./set-styles.ts";

const HEIGHT = 360;
const LARGEST_ZOOM = 24;

/** What part of the matrix is seen: its left upper corner, and screen pixels for each element. */
interface View {
  readonly x: number;
  readonly y: number;
  readonly zoom: number;
}

/**
 * A matrix as a picture, blue below zero, orange above. Tiles are asked for as they come into view, from a distance those that show
 * the largest of many elements. Wheel and drag, or + − 0 and the arrow keys, zoom and move.
 */
export class HeatMapElement extends SizedElement {
  static override properties = {
    rows: { attribute: false },
    columns: { attribute: false },
    maximum: { attribute: false },
    source: { attribute: false },
    texts: { attribute: false },
    theme: { attribute: false },
    label: { attribute: false },
  };

  declare rows: number;
  declare columns: number;
  /** The largest magnitude: the end of the colours. */
  declare maximum: number;
  declare source: TileSource;
  declare texts: HeatMapTexts;
  declare theme: number;
  declare label: string;
  #view: View | undefined;
  #tiles: HeatMapTiles | undefined;
  #pointed: { readonly x: number; readonly y: number } | undefined;
  #dragged: { readonly x: number; readonly y: number; readonly view: View } | undefined;
  #frame = 0;

  protected override resized(): void {
    this.#schedule();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    cancelAnimationFrame(this.#frame);
  }

  override render(): TemplateResult {
    const { texts } = this;
    const stops = Array.from({ length: 9 }, (_, index) => cssColour(this.#scale()((index - 4) / 4)));
    const button = (label: string, sign: string, act: () => void) =>
      html`<button class="icon-button" title=${label} aria-label=${label} @click=${act}>${sign}</button>`;
    return html`<div class="heat-map">
      <div class="heat-map-tools">
        ${button(texts.zoomIn, "+", () => this.#zoomBy(2))} ${button(texts.zoomOut, "−", () => this.#zoomBy(0.5))}
        ${button(texts.zoomFit, "⤢", () => this.#fit())}
        <span class="numbers heat-map-readout" role="status">${this.#readout()}</span>
      </div>
      <canvas
        tabindex="0"
        role="application"
        aria-roledescription=${texts.heatMap}
        aria-label="${this.label}. ${texts.heatMapHelp}"
        @keydown=${this.#keyDown}
        @wheel=${this.#wheel}
        @pointerdown=${this.#pointerDown}
        @pointermove=${this.#pointerMove}
        @pointerup=${this.#drop}
        @pointercancel=${this.#drop}
        @pointerleave=${() => this.#point(undefined)}
      ></canvas>
      <div class="map-legend" aria-hidden="true">
        <span class="numbers">${formatNumber(-this.maximum)}</span>
        <span class="map-ramp" style=${setStyles({ background: `linear-gradient(to right, ${stops.join(", ")})` })}></span>
        <span class="numbers">${formatNumber(this.maximum)}</span>
        <span class="muted">${texts.heatMapScale}</span>
      </div>
    </div>`;
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has("source")) {
      this.#tiles = new HeatMapTiles(this.source, () => this.#schedule());
      this.#view = undefined;
    }
    if (changed.has("theme") || changed.has("maximum") || changed.has("source")) this.#tiles!.setColours(this.#scale(), this.maximum);
    this.#schedule();
  }

  /** What is seen, as a figure of its own. */
  toSvg(title: string): string {
    const canvas = this.#canvas;
    const picture = { url: canvas.toDataURL("image/png"), width: canvas.clientWidth, height: canvas.clientHeight };
    return pictureSvg(title, `${formatNumber(-this.maximum)} – ${formatNumber(this.maximum)}`, picture, figureStyle());
  }

  get #canvas(): HTMLCanvasElement {
    return this.querySelector("canvas")!;
  }

  #scale(): ReturnType<typeof divergingScale> {
    return divergingScale(parseColour(figureStyle().ground), isDarkTheme());
  }

  #schedule(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #fitted(): View {
    const { width, height } = this.#size();
    const zoom = Math.min(LARGEST_ZOOM, width / this.columns, height / this.rows);
    return { x: (this.columns - width / zoom) / 2, y: (this.rows - height / zoom) / 2, zoom };
  }

  #size(): { readonly width: number; readonly height: number } {
    return { width: Math.max(1, this.clientWidth), height: HEIGHT };
  }

  #draw(): void {
    if (!this.rows || !this.columns || !this.isConnected) return;
    const canvas = this.#canvas;
    const { width, height } = this.#size();
    const ratio = window.devicePixelRatio;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d")!;
    context.imageSmoothingEnabled = false;
    context.scale(ratio, ratio);
    const view = (this.#view ??= this.#fitted());
    const level = Math.max(0, Math.min(this.#largestLevel(), Math.floor(Math.log2(1 / (view.zoom * ratio)) + 0.5)));
    const span = TILE * 2 ** level;
    const range = (start: number, seen: number, size: number) => [
      Math.max(0, Math.floor(start / span)),
      Math.min(Math.ceil(size / span) - 1, Math.floor((start + seen / view.zoom) / span)),
    ];
    const [left, right] = range(view.x, width, this.columns) as [number, number];
    const [top, bottom] = range(view.y, height, this.rows) as [number, number];
    let isComplete = true;
    for (let y = top; y <= bottom; y++)
      for (let x = left; x <= right; x++) if (!this.#drawTile(context, view, level, x, y)) isComplete = false;
    context.strokeStyle = figureStyle().muted;
    context.strokeRect(-view.x * view.zoom, -view.y * view.zoom, this.columns * view.zoom, this.rows * view.zoom);
    // For tests, and for who looks at the document: all that is seen is there.
    canvas.dataset["complete"] = String(isComplete);
  }

  /** Whether it was there to be drawn. */
  #drawTile(context: CanvasRenderingContext2D, view: View, level: number, x: number, y: number): boolean {
    const picture = this.#tiles?.picture(level, x, y);
    if (!picture) return false;
    const step = 2 ** level;
    const [left, top] = [(x * TILE * step - view.x) * view.zoom, (y * TILE * step - view.y) * view.zoom];
    context.drawImage(picture, left, top, picture.width * step * view.zoom, picture.height * step * view.zoom);
    return true;
  }

  #largestLevel(): number {
    return Math.max(0, Math.ceil(Math.log2(Math.max(this.rows, this.columns, 1) / TILE)));
  }

  /** Keeps a point of the screen where it is. */
  #zoomBy(factor: number, at?: { readonly x: number; readonly y: number }): void {
    const view = this.#view ?? this.#fitted();
    const { width, height } = this.#size();
    const { x, y } = at ?? { x: width / 2, y: height / 2 };
    const zoom = Math.max(this.#fitted().zoom / 2, Math.min(LARGEST_ZOOM, view.zoom * factor));
    this.#view = { zoom, x: view.x + x / view.zoom - x / zoom, y: view.y + y / view.zoom - y / zoom };
    this.#schedule();
  }

  #moveBy(x: number, y: number): void {
    const view = this.#view ?? this.#fitted();
    this.#view = { ...view, x: view.x + x / view.zoom, y: view.y + y / view.zoom };
    this.#schedule();
  }

  #fit(): void {
    this.#view = undefined;
    this.#schedule();
  }

  readonly #keyDown = (event: KeyboardEvent): void => {
    const step = 60;
    const acts: Readonly<Record<string, () => void>> = {
      "+": () => this.#zoomBy(2),
      "=": () => this.#zoomBy(2),
      "-": () => this.#zoomBy(0.5),
      "0": () => this.#fit(),
      ArrowLeft: () => this.#moveBy(-step, 0),
      ArrowRight: () => this.#moveBy(step, 0),
      ArrowUp: () => this.#moveBy(0, -step),
      ArrowDown: () => this.#moveBy(0, step),
    };
    const act = acts[event.key];
    if (!act) return;
    act();
    event.preventDefault();
  };

  readonly #wheel = (event: WheelEvent): void => {
    event.preventDefault();
    this.#zoomBy(event.deltaY < 0 ? 1.25 : 0.8, { x: event.offsetX, y: event.offsetY });
  };

  readonly #pointerDown = (event: PointerEvent): void => {
    this.#dragged = { x: event.clientX, y: event.clientY, view: this.#view ?? this.#fitted() };
    this.#canvas.setPointerCapture(event.pointerId);
  };

  readonly #pointerMove = (event: PointerEvent): void => {
    if (this.#dragged) {
      const { x, y, view } = this.#dragged;
      this.#view = { ...view, x: view.x - (event.clientX - x) / view.zoom, y: view.y - (event.clientY - y) / view.zoom };
      this.#schedule();
    }
    this.#point({ x: event.offsetX, y: event.offsetY });
  };

  readonly #drop = (): void => {
    this.#dragged = undefined;
  };

  #point(place: { readonly x: number; readonly y: number } | undefined): void {
    this.#pointed = place;
    const readout = this.querySelector(".heat-map-readout");
    if (readout) readout.textContent = this.#readout();
  }

  /** Row, column and value under the pointer. */
  #readout(): string {
    const [place, view] = [this.#pointed, this.#view];
    if (!place || !view) return "";
    const [column, row] = [Math.floor(view.x + place.x / view.zoom), Math.floor(view.y + place.y / view.zoom)];
    if (row < 0 || column < 0 || row >= this.rows || column >= this.columns) return "";
    const value = this.#tiles?.valueAt(row, column, this.#largestLevel());
    return value === undefined ? "" : format(this.texts.heatMapValue, row, column, formatNumber(value));
  }
}

customElements.define("redux-heat-map", HeatMapElement);
