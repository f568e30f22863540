import "uplot/dist/uPlot.min.css";
import "../shared/page.css";
import "../shared/parts.css";
import "./inspector.css";
import "../shared/chart-element.ts";
import "../shared/grid-element.ts";
import "../shared/map-element.ts";
import "./heat-map.ts";
import { readPageData } from "../shared/page.ts";
import { InspectorApp } from "./app.ts";
import type { InspectorStart, InspectorTexts } from "./protocol.ts";

const { texts, start } = readPageData();
const root = document.createElement("div");
root.id = "app";
document.body.append(root);
void new InspectorApp(root, texts as InspectorTexts, start as InspectorStart).open();
