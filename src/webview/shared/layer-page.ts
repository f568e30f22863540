import "uplot/dist/uPlot.min.css";
import "./page.css";
import "./parts.css";
import "./grid.css";
import "./figures.css";
import "./layers.css";
import "./chart-element.ts";
import "./grid-element.ts";
import "./heat-map-element.ts";
import "./map-element.ts";

/* What pages about layers are made of: their styles, their elements, and the one that they are drawn in. */

export function pageRoot(): HTMLElement {
  const root = document.createElement("div");
  root.id = "app";
  document.body.append(root);
  return root;
}
