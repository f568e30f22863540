import { basename, parse } from "node:path";
import * as vscode from "vscode";
import type { Jobs } from "../../worker/protocol.ts";
import type { BakeArguments, Commands, ExtractArguments, MergeLorasArguments, ResizeArguments, Selection } from "../contributions.ts";
import { showReady } from "../log.ts";
import { defined, isOptions, selectedPath, selectedPaths, toPath, toReference } from "./arguments.ts";
import { askOutput } from "./output.ts";
import { pickFile, pickFiles } from "./pick.ts";
import { askScales } from "./scale.ts";
import type { Services } from "./services.ts";
import { askSize } from "./size.ts";
import { askLoraToChange, checkpointGroups, loraGroups, SAFETENSORS } from "./suggest.ts";

type Tool = "bake" | "extract" | "resize" | "mergeLoras";
type LoraReference = Jobs["bake"]["options"]["lora"][number];

function percent(error: number): string {
  return `${(error * 100).toPrecision(2)} %`;
}

/** What a tool made, and what it dropped. */
function readyText(result: Jobs[Tool]["result"]): string {
  if (!("error" in result) || result.error === 0) return vscode.l10n.t("{0} is ready.", basename(result.file));
  return vscode.l10n.t("{0} is ready; it differs from the whole change by {1}.", basename(result.file), percent(result.error));
}

async function tell({ log }: Services, result: Jobs[Tool]["result"]): Promise<void> {
  for (const warning of result.warnings) log.warn(`${basename(result.file)}: ${warning}`);
  await showReady(readyText(result), result.warnings, log);
}

/** Runs a tool with what a program gave, or with what is found out by asking a person. */
async function perform<K extends Tool>(
  services: Services,
  kind: K,
  wanted: Jobs[K]["options"] | (() => Promise<Jobs[K]["options"] | undefined>),
): Promise<Jobs[K]["result"] | undefined> {
  const { files, jobs } = services;
  if (typeof wanted !== "function") {
    const result = await jobs.run(kind, wanted);
    void files.refresh();
    return result;
  }
  return jobs.interactively(async () => {
    await files.ready();
    const options = await wanted();
    if (!options) return undefined;
    const result = await jobs.runInNotification(kind, options);
    void files.refresh();
    void tell(services, result);
    return result;
  });
}

/** LoRAs into a new checkpoint; started on a checkpoint, an engine or LoRAs. */
export function bake(services: Services): Commands["tensorrt.bake"] {
  const { files } = services;
  const ask = async (argument: Selection, selected: readonly unknown[] | undefined): Promise<Jobs["bake"]["options"] | undefined> => {
    const title = vscode.l10n.t("Bake LoRAs into a Checkpoint");
    const paths = selectedPaths(argument, selected);
    const isAdapter = (path: string): boolean => ["lora", "delta"].includes(files.get(path)?.summary.kind ?? "");
    const place = vscode.l10n.t("The checkpoint to bake into");
    const groups = [...checkpointGroups(files), { heading: vscode.l10n.t("Engines"), files: files.of("engine bundle") }];
    const checkpoint = paths.find((path) => !isAdapter(path)) ?? (await pickFile(title, place, groups, SAFETENSORS));
    if (checkpoint === undefined) return undefined;
    const given = paths.filter(isAdapter);
    const loras =
      given.length > 0 ? given : await pickFiles(title, vscode.l10n.t("The LoRAs to bake in"), loraGroups(files, checkpoint, true));
    const lora = loras && loras.length > 0 ? await askScales(title, loras) : undefined;
    const [first, ...others] = lora ?? [];
    if (!first) return undefined;
    const output = await askOutput(title, checkpoint, `${parse(checkpoint).name}-baked.safetensors`);
    return output && { checkpoint, lora: [first, ...others], ...output };
  };
  return (argument, selected) =>
    perform(services, "bake", isOptions<BakeArguments>(argument, "checkpoint") ? bakeOptions(argument) : () => ask(argument, selected));
}

function bakeOptions({ checkpoint, lora, output, ...rest }: BakeArguments): Jobs["bake"]["options"] {
  const [first, ...others] = lora.map(toReference);
  return defined({ ...rest, checkpoint: toPath(checkpoint), lora: [first!, ...others], output: toPath(output) });
}

/** Two checkpoints to a LoRA. */
export function extractLora(services: Services): Commands["tensorrt.extractLora"] {
  const { files } = services;
  const ask = async (selected: string | undefined): Promise<Jobs["extract"]["options"] | undefined> => {
    const title = vscode.l10n.t("Extract LoRA");
    const groups = checkpointGroups(files);
    const tuned = selected ?? (await pickFile(title, vscode.l10n.t("The checkpoint after training"), groups, SAFETENSORS));
    if (tuned === undefined) return undefined;
    const original = await pickFile(title, vscode.l10n.t("The checkpoint before training"), groups, SAFETENSORS);
    const size = original === undefined ? undefined : await askSize(title, "32");
    if (original === undefined || !size) return undefined;
    const output = await askOutput(title, tuned, `${parse(tuned).name}-lora.safetensors`);
    return output && { original, tuned, ...size, ...output };
  };
  return (argument) => {
    if (!isOptions<ExtractArguments>(argument, "tuned")) return perform(services, "extract", () => ask(selectedPath(argument)));
    const { original, tuned, output, ...rest } = argument;
    const options = defined({ ...rest, original: toPath(original), tuned: toPath(tuned), output: toPath(output) });
    return perform(services, "extract", options);
  };
}

/** A LoRA to one of smaller rank. */
export function resizeLora(services: Services): Commands["tensorrt.resizeLora"] {
  const { files } = services;
  const ask = async (selected: string | undefined): Promise<Jobs["resize"]["options"] | undefined> => {
    const title = vscode.l10n.t("Resize LoRA");
    const lora = selected ?? (await askLoraToChange(files, title));
    const size = lora === undefined ? undefined : await askSize(title, "16");
    if (lora === undefined || !size) return undefined;
    const output = await askOutput(title, lora, `${parse(lora).name}-resized.safetensors`);
    return output && { lora, ...size, ...output };
  };
  return (argument) => {
    if (!isOptions<ResizeArguments>(argument, "lora")) return perform(services, "resize", () => ask(selectedPath(argument)));
    const { lora, output, ...rest } = argument;
    return perform(services, "resize", defined({ ...rest, lora: toPath(lora), output: toPath(output) }));
  };
}

/** Several LoRAs to one, exactly. */
export function mergeLoras(services: Services): Commands["tensorrt.mergeLoras"] {
  const { files } = services;
  const ask = async (paths: readonly string[]): Promise<Jobs["mergeLoras"]["options"] | undefined> => {
    const title = vscode.l10n.t("Merge LoRAs");
    const chosen = paths.length > 1 ? paths : await pickFiles(title, vscode.l10n.t("The LoRAs to merge"), [{ files: files.of("lora") }]);
    const lora = chosen && chosen.length > 0 ? await askScales(title, chosen) : undefined;
    const [first, ...others] = lora ?? [];
    if (!first) return undefined;
    const output = await askOutput(title, first.file, `${parse(first.file).name}-merged.safetensors`);
    return output && { lora: [first, ...others], ...output };
  };
  return (argument, selected) => {
    if (!isOptions<MergeLorasArguments>(argument, "lora")) {
      return perform(services, "mergeLoras", () => ask(selectedPaths(argument, selected)));
    }
    const { lora, output, ...rest } = argument;
    const [first, ...others] = lora.map(toReference);
    const options = defined({ ...rest, lora: [first!, ...others] as [LoraReference, ...LoraReference[]], output: toPath(output) });
    return perform(services, "mergeLoras", options);
  };
}
