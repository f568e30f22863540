import * as vscode from "vscode";
import type { Commands, CompareArguments } from "../contributions.ts";
import type { ComparisonPanels } from "../inspector/comparison.ts";
import { isOptions, selectedPaths, toPath, toReference } from "./arguments.ts";
import { pickFile } from "./pick.ts";
import { askScale } from "./scale.ts";
import type { Services } from "./services.ts";

/** Two LoRAs or deltas side by side, or one at two strengths; for a program, which may give stacks, the numbers alone. */
export function compareDeltas(services: Services, panels: ComparisonPanels): Commands["tensorrt.compareDeltas"] {
  const { jobs } = services;
  return async (argument, selected) => {
    if (isOptions<CompareArguments>(argument, "a")) {
      const { a, b = [], base } = argument;
      const options = { a: a.map(toReference), b: b.map(toReference), ...(base !== undefined && { base: toPath(base) }) };
      if (!argument.show) return jobs.run("compare", options);
      panels.show(options);
      return undefined;
    }
    return jobs.interactively(async () => {
      const paths = argument ? selectedPaths(argument, selected) : [];
      const first = paths[0] ?? (await ask(services, vscode.l10n.t("The first: A")));
      if (first === undefined) return undefined;
      const second = paths[1] ?? (await ask(services, vscode.l10n.t("The second: B (the same again for another strength)")));
      if (second === undefined) return undefined;
      const scale = second === first ? await askScale(vscode.l10n.t("The strength of B"), [second], 0.5) : 1;
      if (scale !== undefined) panels.show({ a: [{ file: first }], b: [{ file: second, scale }] });
      return undefined;
    });
  };
}

async function ask({ files }: Services, placeHolder: string): Promise<string | undefined> {
  await files.ready();
  const adapters = files.of("delta", "lora");
  const filters = { [vscode.l10n.t("Models")]: ["safetensors", "trt_lora"] };
  return pickFile(vscode.l10n.t("Compare"), placeHolder, [{ files: adapters }], filters);
}
