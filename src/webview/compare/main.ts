import "../shared/page.css";
import "../shared/parts.css";
import "../shared/grid.css";
import "../shared/figures.css";
import "../shared/layers.css";
import "./compare.css";
import "../shared/grid-element.ts";
import "../shared/map-element.ts";
import { readPageData } from "../shared/page.ts";
import { CompareApp } from "./app.ts";
import type { CompareTexts, Comparison } from "./protocol.ts";

const { texts, start } = readPageData();
const root = document.createElement("div");
root.id = "app";
document.body.append(root);
void new CompareApp(root, texts as CompareTexts, start as Comparison).compare();
