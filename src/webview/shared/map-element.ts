import { html, LitElement, nothing, type TemplateResult } from "lit";
import { cssColour, inkOn, sequentialScale, type ColourScale } from "./colours.ts";
import { isDarkTheme } from "./theme.ts";
import { largestBlock, largestCell, type MapBlock, type MapCell, type MapComponent } from "./network.ts";
import { format } from "./page.ts";
import type { MapTexts } from "./texts.ts";
import { setStyles } from "./set-styles.ts";

/** A square that was chosen: its layers, and what it is called. */
export interface ChosenCell {
  readonly component: string;
  readonly block: string;
  readonly role: string;
  readonly layers: readonly number[];
}

/**
 * The network as a map, blocks by roles, each square coloured by a number, with a bar for each block. Fires "choose" with the square
 * that was clicked or entered.
 */
export class MapElement extends LitElement {
  static override properties = {
    components: { attribute: false },
    texts: { attribute: false },
    legend: { attribute: false },
    format: { attribute: false },
    maximum: { attribute: false },
    theme: { attribute: false },
  };

  declare components: readonly MapComponent[];
  declare texts: MapTexts;
  /** What the colours stand for, with its unit. */
  declare legend: string;
  declare format: (value: number | undefined) => string;
  /** What the strongest colour stands for; absent: the largest square. */
  declare maximum: number | undefined;
  /** Changes with the theme, whose ground the colours stand on. */
  declare theme: number;
  /** The square in the tab order. */
  #active = "";
  /** The squares by their `data-cell`: one listener serves the hundreds of them. */
  #cells: ReadonlyMap<string, ChosenCell> = new Map();
  #scale: ColourScale = sequentialScale(true);

  protected override createRenderRoot(): this {
    return this;
  }

  override render(): TemplateResult {
    const largest = this.maximum ?? largestCell(this.components);
    this.#scale = sequentialScale(isDarkTheme());
    this.#cells = new Map(chosenCells(this.components).map((cell) => [cellKey(cell), cell]));
    // Of another network there may be no such square.
    if (!this.#cells.has(this.#active)) [this.#active = ""] = this.#cells.keys();
    return html`${this.#legend(largest)} ${this.components.map((component) => this.#component(component, largest))}`;
  }

  #legend(largest: number): TemplateResult {
    const stops = Array.from({ length: 11 }, (_, index) => cssColour(this.#scale(index / 10)));
    return html`<div class="map-legend" aria-hidden="true">
      <span class="numbers">0</span>
      <span class="map-ramp" style=${setStyles({ background: `linear-gradient(to right, ${stops.join(", ")})` })}></span>
      <span class="numbers">${this.format(largest)}</span>
      <span class="muted">${this.legend}</span>
    </div>`;
  }

  #component(component: MapComponent, largest: number): TemplateResult {
    const longest = largestBlock([component]);
    return html`<section class="map-component">
      <h3>${componentName(component.component, this.texts)}</h3>
      <table class="map" role="grid" aria-label=${componentName(component.component, this.texts)}>
        <thead>
          <tr role="row">
            <th scope="col" role="columnheader">${this.texts.block}</th>
            ${component.roles.map((role) => html`<th scope="col" role="columnheader" class="map-role"><span>${this.#roleName(role)}</span></th>`)}
            <th scope="col" role="columnheader" class="map-total">${this.texts.blockTotal}</th>
          </tr>
        </thead>
        <tbody @click=${this.#click} @focusin=${this.#focusIn} @keydown=${this.#keyDown}>
          ${component.blocks.map((block) => this.#block(component, block, largest, longest))}
        </tbody>
      </table>
    </section>`;
  }

  #block(component: MapComponent, block: MapBlock, largest: number, longest: number): TemplateResult {
    const length = longest === 0 ? 0 : ((block.total ?? 0) / longest) * 100;
    const name = block.block === "other" ? this.texts.other : block.block;
    return html`<tr role="row">
      <th scope="row" role="rowheader">${name}</th>
      ${component.roles.map((role) => {
        const cell = block.cells.get(role);
        return cell ? this.#cell(component.component, block.block, name, cell, largest) : html`<td role="gridcell" class="map-empty"></td>`;
      })}
      <td role="gridcell" class="map-total">
        <span class="map-bar"><span style=${setStyles({ width: `${length}%` })}></span></span>
        <span class="numbers">${this.format(block.total)}</span>
      </td>
    </tr>`;
  }

  #cell(component: string, block: string, blockName: string, cell: MapCell, largest: number): TemplateResult {
    const key = cellKey({ component, block, role: cell.role });
    const colour = cell.value === undefined ? undefined : this.#scale(largest === 0 ? 0 : cell.value / largest);
    const style = colour ? { backgroundColor: cssColour(colour), color: inkOn(colour) } : {};
    const label = format(this.texts.mapCell, blockName, this.#roleName(cell.role), this.#valueText(cell), cell.layers.length);
    return html`<td
      role="gridcell"
      class=${colour ? "map-cell" : "map-cell map-waiting"}
      tabindex=${this.#active === key ? 0 : -1}
      data-cell=${key}
      aria-label=${label}
      title=${label}
      style=${setStyles(style)}
    >
      ${cell.layers.length > 1 ? html`<span aria-hidden="true">${cell.layers.length}</span>` : nothing}
    </td>`;
  }

  #valueText({ value }: MapCell): string {
    return value === undefined ? this.texts.notYet : this.format(value);
  }

  #roleName(role: string): string {
    return role === "other" ? this.texts.other : role;
  }

  readonly #click = (event: MouseEvent): void => this.#choose(squareOf(event));

  readonly #focusIn = (event: FocusEvent): void => {
    const key = squareOf(event)?.dataset["cell"];
    if (key === undefined || this.#active === key) return;
    this.#active = key;
    this.requestUpdate();
  };

  readonly #keyDown = (event: KeyboardEvent): void => {
    const square = squareOf(event);
    if (!square) return;
    if (event.key === "Enter" || event.key === " ") this.#choose(square);
    else if (!this.#move(event.key, square)) return;
    event.preventDefault();
  };

  #choose(square: HTMLElement | undefined): void {
    const detail = this.#cells.get(square?.dataset["cell"] ?? "");
    if (detail) this.dispatchEvent(new CustomEvent<ChosenCell>("choose", { detail }));
  }

  /** To the next square in a direction, over what is empty. */
  #move(key: string, cell: HTMLTableCellElement): boolean {
    const row = cell.parentElement as HTMLTableRowElement;
    const squares = (each: Element | null) => Array.from(each?.querySelectorAll<HTMLElement>(".map-cell") ?? []);
    const sameColumn = Array.from(this.querySelectorAll<HTMLTableRowElement>("tbody tr")).flatMap((each) => {
      const square = each.cells[cell.cellIndex];
      return square?.classList.contains("map-cell") ? [square] : [];
    });
    const step = key === "ArrowLeft" || key === "ArrowUp" ? -1 : 1;
    const line = key === "ArrowLeft" || key === "ArrowRight" ? squares(row) : key === "ArrowUp" || key === "ArrowDown" ? sameColumn : [];
    if (key === "Home") squares(row)[0]?.focus();
    else if (key === "End") squares(row).at(-1)?.focus();
    else if (line.length === 0) return false;
    else line[line.indexOf(cell) + step]?.focus();
    return true;
  }
}

/** The square that an event is of. */
function squareOf({ target }: Event): HTMLTableCellElement | undefined {
  return (target instanceof Element && target.closest<HTMLTableCellElement>(".map-cell")) || undefined;
}

function cellKey({ component, block, role }: Pick<ChosenCell, "component" | "block" | "role">): string {
  return `${component}/${block}/${role}`;
}

function chosenCells(components: readonly MapComponent[]): ChosenCell[] {
  return components.flatMap(({ component, roles, blocks }) =>
    blocks.flatMap(({ block, cells }) =>
      roles.flatMap((role) => {
        const layers = cells.get(role)?.layers;
        return layers ? [{ component, block, role, layers }] : [];
      }),
    ),
  );
}

export function componentName(component: string, texts: MapTexts): string {
  const names: Readonly<Record<string, string>> = {
    unet: texts.componentUnet,
    transformer: texts.componentTransformer,
    text_encoder: texts.componentTextEncoder,
    text_encoder_2: texts.componentTextEncoder2,
    text_encoder_3: texts.componentTextEncoder3,
    vae: texts.componentVae,
    other: texts.componentOther,
  };
  return names[component] ?? component;
}

customElements.define("redux-map", MapElement);
