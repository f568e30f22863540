import type { TableState } from "../shared/layer-table.ts";

export type Tab = "overview" | "layers" | "metadata";
export type Measure = "relative" | "absolute";

/** What the inspector keeps when its page is hidden, moved or loaded again. */
export interface InspectorState extends TableState {
  readonly tab: Tab;
  readonly measure: Measure;
  /** Index of the layer whose detail is open. */
  readonly selected?: number | undefined;
  readonly isLog: boolean;
}

const INITIAL: InspectorState = { tab: "overview", measure: "relative", filter: "", scrollRow: 0, isLog: false };

/** What was kept, whatever version kept it. */
export function restoreState(saved: unknown): InspectorState {
  return typeof saved === "object" && saved !== null ? { ...INITIAL, ...saved } : INITIAL;
}
