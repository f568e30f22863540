import { basename, parse } from "node:path";
import * as vscode from "vscode";
import type { Commands, DeltaArguments } from "../contributions.ts";
import { isOptions, selectedPath } from "./arguments.ts";
import { makeDelta, runDelta } from "./exportDelta.ts";
import { askOutput } from "./output.ts";
import { pickFile } from "./pick.ts";
import type { Services } from "./services.ts";
import { type Size, askSize } from "./size.ts";
import { DELTAS, askEngine } from "./suggest.ts";

/** A delta of version 1, which holds whole weights, to one that holds what they change of an engine's base. */
export function convertDelta(services: Services): Commands["tensorrt.convertDelta"] {
  const { files, jobs, worker } = services;
  return async (argument) => {
    if (isOptions<DeltaArguments>(argument, "lora")) return runDelta(services, argument);
    return jobs.interactively(async () => {
      const title = vscode.l10n.t("Convert Delta of Version 1");
      const lora = selectedPath(argument) ?? (await askVersion1(services, title));
      if (lora === undefined) return undefined;
      const loaded = worker.loadedEngines.map(({ path }) => path);
      const engine = await askEngine(files, title, loaded);
      const kept = engine === undefined ? undefined : await askKept(title);
      if (engine === undefined || !kept) return undefined;
      const output = await askOutput(title, lora, `${basename(engine)}_${parse(lora).name}_s1.00.trt_lora`);
      return output && makeDelta(services, { engine, lora, ...kept, ...output });
    });
  };
}

async function askVersion1({ files }: Services, title: string): Promise<string | undefined> {
  await files.ready("delta");
  const deltas = files.of("delta").filter(({ summary }) => summary.deltaVersion === 1);
  return pickFile(title, vscode.l10n.t("The delta to convert"), [{ files: deltas }], DELTAS);
}

/** What is kept of the changes: all, for which there is nothing to say, or factors of a size; undefined where the person turns away. */
async function askKept(title: string): Promise<Partial<Size> | undefined> {
  const exact = { label: vscode.l10n.t("Exact"), detail: vscode.l10n.t("Every change as it is, as large as the weights themselves") };
  const small = { label: vscode.l10n.t("Small…"), detail: vscode.l10n.t("Factors of a rank, as a LoRA has them; the error is stated") };
  const placeHolder = vscode.l10n.t("What is kept of the changes");
  const chosen = await vscode.window.showQuickPick([exact, small], { title, placeHolder });
  if (!chosen) return undefined;
  return chosen === exact ? {} : askSize(title, "16");
}
