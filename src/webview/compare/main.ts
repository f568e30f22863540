import { pageRoot } from "../shared/layer-page.ts";
import "./compare.css";
import { readPageData } from "../shared/page.ts";
import { CompareApp } from "./app.ts";
import type { CompareTexts, Comparison } from "./protocol.ts";

const { texts, start } = readPageData();
void new CompareApp(pageRoot(), texts as CompareTexts, start as Comparison).compare();
