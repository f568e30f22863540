import { basename, dirname, join, parse } from "node:path";
import * as vscode from "vscode";
import type { Jobs } from "../../worker/protocol.ts";
import { type Commands, type ExportArguments, setting } from "../contributions.ts";
import { WorkerError } from "../worker/connection.ts";
import { defined, fromWorkspace, isOptions, selectedPath, toPath } from "./arguments.ts";
import type { Services } from "./services.ts";
import { askCheckpoint } from "./suggest.ts";

type Options = Jobs["export"]["options"];

/** The bundle's folder unless told: in the settings' folder, or beside the checkpoint where no workspace is open. */
function bundleFolder(checkpoint: string, name: string | undefined): string {
  return join(fromWorkspace(setting("engineFolder")) ?? dirname(checkpoint), name ?? parse(checkpoint).name);
}

function toOptions({ checkpoint, output, ...rest }: ExportArguments): Options {
  const path = toPath(checkpoint);
  const place = output === undefined ? bundleFolder(path, rest.name) : toPath(output);
  return defined({ backend: setting("backend"), ...planSettings(), ...rest, checkpoint: path, output: place });
}

/** How TensorRT builds, as the settings say; what is not set is left to it. */
function planSettings(): Partial<Options> {
  const optimizationLevel = setting("export.optimizationLevel");
  const workspace = setting("export.workspace");
  const timingCache = setting("export.timingCache");
  const [first, ...others] = setting("export.computeCapability");
  return {
    refit: setting("export.refit"),
    keepOnnx: setting("export.keepOnnx"),
    ...(optimizationLevel !== null && { optimizationLevel }),
    ...(workspace !== null && { workspace }),
    ...(timingCache !== "" && { timingCache }),
    ...(first !== undefined && { computeCapability: [first, ...others] }),
  };
}

async function askPrecision(title: string): Promise<NonNullable<Options["precision"]> | "source" | undefined> {
  const items = [
    { label: vscode.l10n.t("As the checkpoint"), description: vscode.l10n.t("nothing is converted or copied"), value: "source" },
    { label: "fp16", description: vscode.l10n.t("half precision"), value: "fp16" },
    { label: "bf16", description: vscode.l10n.t("half precision with the range of fp32"), value: "bf16" },
    { label: "fp32", description: vscode.l10n.t("full precision, twice the memory"), value: "fp32" },
  ] as const;
  const chosen = await vscode.window.showQuickPick(items, { title, placeHolder: vscode.l10n.t("The engine's precision") });
  return chosen?.value;
}

/** Runs the export; where the bundle is there already, asks whether to replace it. */
async function exportOrReplace({ jobs }: Services, options: Options): Promise<Jobs["export"]["result"] | undefined> {
  try {
    return await jobs.runInNotification("export", options);
  } catch (error) {
    if (!(error instanceof WorkerError) || error.code !== "file.exists") throw error;
    const replace = vscode.l10n.t("Replace");
    const answer = await vscode.window.showWarningMessage(error.message, { modal: true }, replace);
    return answer === replace ? jobs.runInNotification("export", { ...options, overwrite: true }) : undefined;
  }
}

/** Checkpoint to engine bundle. */
export function exportEngine(services: Services): Commands["tensorrt.exportEngine"] {
  const { files, jobs } = services;
  return async (argument) => {
    if (isOptions<ExportArguments>(argument, "checkpoint")) {
      const result = await jobs.run("export", toOptions(argument));
      void files.refresh();
      return result;
    }
    return jobs.interactively(async () => {
      const title = vscode.l10n.t("Export Engine");
      const checkpoint = selectedPath(argument) ?? (await askCheckpoint(files, title));
      if (checkpoint === undefined) return undefined;
      const precision = await askPrecision(title);
      if (precision === undefined) return undefined;
      const options = toOptions({ checkpoint, ...(precision === "source" ? {} : { precision }) });
      const result = await exportOrReplace(services, options);
      if (!result) return undefined;
      void files.refresh();
      for (const warning of result.warnings) services.log.warn(warning);
      void announce(result);
      return result;
    });
  };
}

async function announce({ bundle }: Jobs["export"]["result"]): Promise<void> {
  const generate = vscode.l10n.t("Generate Image…");
  const message = vscode.l10n.t("The engine {0} is ready.", basename(bundle));
  if ((await vscode.window.showInformationMessage(message, generate)) !== generate) return;
  await vscode.commands.executeCommand("tensorrt.generateImage", vscode.Uri.file(bundle));
}
