import { basename } from "node:path";
import * as vscode from "vscode";
import type { Jobs } from "../../worker/protocol.ts";
import { type Commands, type GenerateArguments, setting } from "../contributions.ts";
import { outputFile } from "../outputFile.ts";
import { requireTrust } from "../trust.ts";
import { formatScale } from "../views/texts.ts";
import { defined, isOptions, selectedPath, toPath, toReference } from "./arguments.ts";
import { pickFiles } from "./pick.ts";
import { askScales } from "./scale.ts";
import type { Services } from "./services.ts";
import { askEngine, loraGroups } from "./suggest.ts";

type Options = Jobs["generate"]["options"];
type LoraReference = NonNullable<Options["lora"]>[number];

const LAST_PROMPT = "generate.prompt";

/** What was asked for, over the defaults of the settings. */
async function toOptions({ stacks }: Services, { engine, output, lora = [], ...rest }: GenerateArguments): Promise<Options> {
  requireTrust(vscode.l10n.t("Generating an image"));
  const place = output === undefined ? await outputFile(new Date()) : toPath(output);
  return defined({
    backend: setting("backend"),
    base: setting("load.base"),
    negative: setting("generate.negative"),
    steps: setting("generate.steps"),
    cfg: setting("generate.cfg"),
    sampler: setting("generate.sampler"),
    schedule: setting("generate.schedule"),
    ...rest,
    engine: toPath(engine),
    lora: lora === "stack" ? stacks.references(toPath(engine)) : lora.map(toReference),
    output: place,
  });
}

/** The engine's stack, or other LoRAs; undefined where the person turns away. */
async function askLoras(services: Services, title: string, engine: string): Promise<LoraReference[] | undefined> {
  const stack = services.stacks.references(engine);
  if (stack.length === 0) return askOtherLoras(services, title, engine);
  const names = stack.map(({ file, scale = 1 }) => `${basename(file)} × ${formatScale(scale)}`);
  const items = [
    { label: vscode.l10n.t("The stack"), description: names.join(", "), isStack: true },
    { label: vscode.l10n.t("Other LoRAs…"), description: vscode.l10n.t("for this picture alone"), isStack: false },
  ];
  const chosen = await vscode.window.showQuickPick(items, { title, placeHolder: vscode.l10n.t("The LoRAs of the picture") });
  if (!chosen) return undefined;
  return chosen.isStack ? stack : askOtherLoras(services, title, engine);
}

/** Any number of LoRAs with their scales; undefined where the person turns away. */
async function askOtherLoras({ files }: Services, title: string, engine: string): Promise<LoraReference[] | undefined> {
  const groups = loraGroups(files, engine, true);
  if (groups.every((group) => group.files.length === 0)) return [];
  const chosen = await pickFiles(title, vscode.l10n.t("LoRAs to apply (none is fine)"), groups);
  return chosen && askScales(title, chosen);
}

async function askOptions(services: Services, selected: string | undefined): Promise<Options | undefined> {
  const { files, memory, worker } = services;
  const title = vscode.l10n.t("Generate Image");
  const loaded = worker.loadedEngines.map(({ path }) => path);
  const engine = selected ?? (await askEngine(files, title, loaded));
  if (engine === undefined) return undefined;
  await files.ready();
  const lora = await askLoras(services, title, engine);
  if (!lora) return undefined;
  const prompt = await vscode.window.showInputBox({
    title,
    prompt: vscode.l10n.t("The prompt: what the picture shows"),
    value: memory.get(LAST_PROMPT, ""),
    ignoreFocusOut: true,
  });
  if (prompt === undefined) return undefined;
  await memory.update(LAST_PROMPT, prompt);
  return toOptions(services, { engine, prompt, lora });
}

async function openImages(images: readonly string[]): Promise<void> {
  for (const image of images) await vscode.commands.executeCommand("vscode.open", vscode.Uri.file(image), { preview: false });
}

/** Prompt to picture. */
export function generateImage(services: Services): Commands["tensorrt.generateImage"] {
  const { jobs, log } = services;
  return async (argument) => {
    if (isOptions<GenerateArguments>(argument, "prompt")) return jobs.run("generate", await toOptions(services, argument));
    return jobs.interactively(async () => {
      const options = await askOptions(services, selectedPath(argument));
      if (!options) return undefined;
      const result = await jobs.runInNotification("generate", options);
      for (const warning of result.warnings) log.warn(warning);
      await openImages(result.images);
      return result;
    });
  };
}
