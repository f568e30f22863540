import * as vscode from "vscode";
import type { ModelFile, ModelFiles } from "../files.ts";
import { fits } from "../fit.ts";
import { type FileGroup, pickFile } from "./pick.ts";

export const SAFETENSORS = { Safetensors: ["safetensors"] };
export const DELTAS = { "TensorRT Redux": ["trt_lora"] };

function newestFirst(files: readonly ModelFile[]): ModelFile[] {
  return files.toSorted((a, b) => b.modified - a.modified);
}

/** Checkpoints that can be exported first, then files whose kind is not known; LoRAs are none. */
export function checkpointGroups(files: ModelFiles): FileGroup[] {
  return [
    { files: newestFirst(files.of("checkpoint")) },
    {
      heading: vscode.l10n.t("Not recognized as checkpoints"),
      files: newestFirst(files.of("safetensors", "unreadable")).filter(({ form }) => form !== "bundle" && form !== "delta"),
    },
  ];
}

/** LoRAs (and deltas) that fit the engine first: by architecture, and a delta by the checkpoint it was made for. */
export function loraGroups(files: ModelFiles, enginePath: string, withDeltas: boolean): FileGroup[] {
  const engine = files.get(enginePath);
  const mayFit = (file: ModelFile): boolean => engine === undefined || fits(file, engine) !== false;
  const all = newestFirst(withDeltas ? files.of("delta", "lora") : files.of("lora"));
  return [{ files: all.filter(mayFit) }, { heading: vscode.l10n.t("Made for other models"), files: all.filter((file) => !mayFit(file)) }];
}

export async function askCheckpoint(files: ModelFiles, title: string): Promise<string | undefined> {
  await files.ready();
  return pickFile(title, vscode.l10n.t("The checkpoint to export"), checkpointGroups(files), SAFETENSORS);
}

/** The engine that a person chooses, those in memory first. */
export async function askEngine(files: ModelFiles, title: string, loaded: readonly string[]): Promise<string | undefined> {
  await files.ready("bundle");
  const engines = newestFirst(files.of("engine bundle"));
  const inMemory = ({ uri }: ModelFile): boolean => loaded.includes(uri.fsPath);
  const groups = [{ files: [...engines.filter(inMemory), ...engines.filter((file) => !inMemory(file))] }];
  return pickFile(title, vscode.l10n.t("The engine"), groups, {});
}

export async function askLora(files: ModelFiles, title: string, enginePath: string): Promise<string | undefined> {
  await files.ready();
  return pickFile(title, vscode.l10n.t("The LoRA"), loraGroups(files, enginePath, false), SAFETENSORS);
}

export async function askLoraToChange(files: ModelFiles, title: string): Promise<string | undefined> {
  await files.ready();
  return pickFile(title, vscode.l10n.t("The LoRA"), [{ files: newestFirst(files.of("lora")) }], SAFETENSORS);
}
