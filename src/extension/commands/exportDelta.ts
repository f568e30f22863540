import { basename } from "node:path";
import * as vscode from "vscode";
import type { Jobs } from "../../worker/protocol.ts";
import type { Commands, DeltaArguments } from "../contributions.ts";
import { showReady } from "../log.ts";
import { defined, isOptions, selectedPaths, toPath } from "./arguments.ts";
import type { Services } from "./services.ts";
import { askEngine, askLora } from "./suggest.ts";

/** For a program. */
export async function runDelta({ files, jobs }: Services, argument: DeltaArguments): Promise<Jobs["delta"]["result"]> {
  const result = await jobs.run("delta", toOptions(argument));
  void files.refresh();
  return result;
}

function toOptions({ engine, lora, output, ...rest }: DeltaArguments): Jobs["delta"]["options"] {
  return defined({ ...rest, engine: toPath(engine), lora: toPath(lora), ...(output === undefined ? {} : { output: toPath(output) }) });
}

/** Says what the delta holds; what did not fit goes to the log as well, name by name. */
async function tell({ log }: Services, { file, matched, unmatched, warnings }: Jobs["delta"]["result"]): Promise<void> {
  for (const { name, reason } of unmatched) log.warn(`${basename(file)}: ${name}: ${reason}`);
  for (const warning of warnings) log.warn(`${basename(file)}: ${warning}`);
  const ready = vscode.l10n.t("{0} is ready: {1} weights.", basename(file), matched.length);
  const leftOut = unmatched.length > 0 ? [vscode.l10n.t("Keys of the LoRA that were left out: {0}.", unmatched.length)] : [];
  await showReady(ready, [...leftOut, ...warnings], log);
}

/** Makes one delta with a progress notification, and says how it went. */
export async function makeDelta(services: Services, options: Jobs["delta"]["options"]): Promise<Jobs["delta"]["result"]> {
  const result = await services.jobs.runInNotification("delta", options);
  void services.files.refresh();
  void tell(services, result);
  return result;
}

/** LoRAs to deltas, for one engine. */
export function exportDelta(services: Services): Commands["tensorrt.exportDelta"] {
  const { files, jobs, worker } = services;
  return async (argument, selection) => {
    if (isOptions<DeltaArguments>(argument, "lora")) return runDelta(services, argument);
    return jobs.interactively(async () => {
      const title = vscode.l10n.t("Export Delta");
      await files.ready("bundle");
      const selected = selectedPaths(argument, selection);
      const selectedEngine = selected.find((path) => files.get(path)?.summary.kind === "engine bundle");
      const loaded = worker.loadedEngines.map(({ path }) => path);
      const engine = selectedEngine ?? (await askEngine(files, title, loaded));
      if (engine === undefined) return undefined;
      const loras = selected.filter((path) => path !== engine);
      const asked = loras.length > 0 ? undefined : await askLora(files, title, engine);
      let result: Jobs["delta"]["result"] | undefined;
      for (const lora of asked === undefined ? loras : [asked]) result = await makeDelta(services, { engine, lora });
      return result;
    });
  };
}
