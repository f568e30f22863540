import { svg, type SVGTemplateResult } from "lit";

/* Sixteen pixels square, in the colour of the text; each stands beside a name of its own. */

function icon(path: string): SVGTemplateResult {
  return svg`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d=${path} /></svg>`;
}

export const closeIcon = icon("M3.5 3.5l9 9m0-9l-9 9");
export const addIcon = icon("M8 3v10M3 8h10");
export const swapIcon = icon("M3 5.5h9M9.5 3l2.5 2.5L9.5 8M13 10.5H4M6.5 8L4 10.5 6.5 13");
export const pictureIcon = icon("M2.5 3.5h11v9h-11zM3 11l3-3.5 2.5 2.5 2-2 2.500 3M10.500 6h.01");
