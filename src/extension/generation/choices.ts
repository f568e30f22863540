import { basename } from "node:path";
import type { EngineChoice, LoraChoice, StackItem, StackView } from "../../webview/generation/protocol.ts";
import type { LoadedEngine } from "../../worker/protocol.ts";
import type { ModelFile, ModelFiles } from "../files.ts";
import type { Stack } from "../stack/entries.ts";
import type { StackState } from "../stack/stacks.ts";
import { detailOf, formatBytes, loraName } from "../views/texts.ts";

/** The engines that were found, those in memory first and those that cannot run here last. */
export function engineChoices(
  files: ModelFiles,
  loaded: readonly LoadedEngine[],
  problemOf: (path: string) => string | undefined,
): EngineChoice[] {
  const bytes = new Map(loaded.map(({ path, memoryBytes }) => [path, memoryBytes]));
  return files
    .of("engine bundle")
    .map((file) => engineChoice(file, bytes.get(file.uri.fsPath), problemOf(file.uri.fsPath)))
    .toSorted((a, b) => rankOf(a) - rankOf(b) || a.name.localeCompare(b.name));
}

function rankOf({ memory, problem }: EngineChoice): number {
  if (memory !== undefined) return 0;
  return problem === undefined ? 1 : 2;
}

function engineChoice(file: ModelFile, loadedBytes: number | undefined, problem: string | undefined): EngineChoice {
  const { components = [], architecture, fingerprint } = file.summary;
  const profile = components.find(({ component }) => component === "unet" || component === "transformer")?.profile;
  return {
    path: file.uri.fsPath,
    name: basename(file.uri.fsPath),
    detail: detailOf(file),
    ...(architecture !== undefined && { architecture }),
    ...(loadedBytes !== undefined && { memory: formatBytes(loadedBytes) }),
    ...(profile && { batch: profile.batch }),
    ...(profile?.width && { width: profile.width }),
    ...(profile?.height && { height: profile.height }),
    ...(fingerprint !== undefined && { fingerprint }),
    ...(problem !== undefined && { problem }),
    takesImage: components.some(({ component }) => component === "vae_encoder"),
  };
}

/** What prompts can name, deltas first: of two files of one name the first is meant. Weights that were not looked into yet may be LoRAs. */
export function loraChoices(files: ModelFiles): LoraChoice[] {
  const undescribed = files.of("undescribed").filter(({ form }) => form === "safetensors" || form === "delta");
  const named = new Map<string, LoraChoice>();
  for (const file of [...files.of("delta"), ...files.of("lora"), ...undescribed]) {
    const path = file.uri.fsPath;
    const name = loraName(path);
    const { architecture, fingerprint } = file.summary;
    const origin = { ...(architecture !== undefined && { architecture }), ...(fingerprint !== undefined && { fingerprint }) };
    if (!named.has(name)) named.set(name, { file: path, name, detail: detailOf(file), ...origin });
  }
  return [...named.values()];
}

export function stackItems(stack: Stack): StackItem[] {
  return stack.map((entry) => ({ ...entry, name: loraName(entry.file) }));
}

export function stackView(engine: string, stack: Stack, { applying, applied, problem }: StackState): StackView {
  return {
    engine,
    items: stackItems(stack),
    applying,
    ...(applied && { refit: applied.timings.total }),
    ...(problem !== undefined && { problem }),
  };
}
