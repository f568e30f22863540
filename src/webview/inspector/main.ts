import { pageRoot } from "../shared/layer-page.ts";
import "./inspector.css";
import { readPageData } from "../shared/page.ts";
import { InspectorApp } from "./app.ts";
import type { InspectorStart, InspectorTexts } from "./protocol.ts";

const { texts, start } = readPageData();
void new InspectorApp(pageRoot(), texts as InspectorTexts, start as InspectorStart).open();
