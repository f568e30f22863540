import { basename } from "node:path";
import * as vscode from "vscode";
import type { ComponentSummary, Jobs } from "../../worker/protocol.ts";
import { type Commands, setting } from "../contributions.ts";
import type { Summary } from "../files.ts";
import { requireTrust } from "../trust.ts";
import { defined, selectedPath, selectedPaths } from "./arguments.ts";
import type { Services } from "./services.ts";
import { askCheckpoint, askEngine } from "./suggest.ts";
import { moveToTrash } from "./trash.ts";

/**
 * Shows a row's file in the explorer where the workspace holds it, else in the file manager. A window has that of its own machine
 * alone: of a file on another one it gets the path.
 */
export function reveal(): Commands["tensorrt.reveal"] {
  return async (argument) => {
    const path = selectedPath(argument);
    if (path === undefined) return;
    const uri = vscode.Uri.file(path);
    if (vscode.workspace.getWorkspaceFolder(uri)) await vscode.commands.executeCommand("revealInExplorer", uri);
    else if (vscode.env.remoteName === undefined) await vscode.commands.executeCommand("revealFileInOS", uri);
    else {
      await vscode.env.clipboard.writeText(path);
      void vscode.window.showInformationMessage(vscode.l10n.t("{0} lies outside of the workspace. Its path was copied.", path));
    }
  };
}

/** Engines, LoRAs and deltas to the trash. */
export function deleteFile(services: Services): Commands["tensorrt.delete"] {
  const { files, jobs, stacks, worker } = services;
  return (argument, selected) =>
    jobs.interactively(async () => {
      const paths = selectedPaths(argument, selected);
      if (paths.length === 0) return;
      // Files that are open in the worker cannot be deleted on every system.
      const unload = async (): Promise<void> => {
        for (const { path } of worker.loadedEngines) if (paths.includes(path)) await worker.unloadEngine(path);
      };
      const uris = paths.map((path) => vscode.Uri.file(path));
      if (await moveToTrash(uris, unload)) for (const path of paths) await stacks.forget(path);
      await files.refresh();
    });
}

type ExportOptions = Jobs["export"]["options"];

/** The shapes that a component was built for, as the options that give them again. */
function shapesOf({ profile }: ComponentSummary): Partial<ExportOptions> {
  const range = (axis: ComponentSummary["profile"]["batch"] | undefined): [number, number, number] | undefined =>
    axis && [axis.min, axis.opt, axis.max];
  const { batch, height, width, context } = profile;
  return defined({
    static: profile.static,
    batch: range(batch),
    height: range(height),
    width: range(width),
    context: range(context),
  });
}

/** The precision, the shapes and the components that an engine has, where it does not say what it was exported with. */
function described({ components = [], precision }: Summary): Partial<ExportOptions> {
  const largest = components.find(({ component }) => component === "unet" || component === "transformer") ?? components[0];
  return {
    ...(precision !== undefined && { precision: precision as NonNullable<ExportOptions["precision"]> }),
    ...(largest && shapesOf(largest)),
    ...(components.length > 0 && { components: components.map(({ component }) => component) }),
  };
}

/** The checkpoint that an engine was built from, where it is in the workspace still. */
function checkpointOf({ files }: Services, engine: Summary): string | undefined {
  return files.of("checkpoint").find(({ uri }) => basename(uri.fsPath) === engine.checkpoint)?.uri.fsPath;
}

/** Builds an engine again from its checkpoint, for this machine, with the options that it was exported with. */
export function rebuildEngine(services: Services): Commands["tensorrt.rebuildEngine"] {
  const { files, jobs, worker } = services;
  return (argument) =>
    jobs.interactively(async () => {
      const title = vscode.l10n.t("Rebuild Engine");
      requireTrust(title);
      const path = selectedPath(argument) ?? (await askEngine(files, title, []));
      if (path === undefined) return undefined;
      await files.ready();
      // One that lies outside of the workspace is none of its files.
      const engine = files.get(path)?.summary ?? (await worker.describe([path]))[0]!;
      const { exportOptions: recorded } = engine;
      const checkpoint = recorded?.checkpoint ?? checkpointOf(services, engine) ?? (await askCheckpoint(files, title));
      if (checkpoint === undefined) return undefined;
      const wasLoaded = worker.loadedEngines.some((loaded) => loaded.path === path);
      if (wasLoaded) await worker.unloadEngine(path);
      const options = { ...(recorded ?? described(engine)), checkpoint, output: path, overwrite: true, backend: setting("backend") };
      try {
        return await jobs.runInNotification("export", defined(options));
      } finally {
        await files.refresh();
        // The new one, or the old one where there is no new one.
        if (wasLoaded) await jobs.loadEngine(path, vscode.ProgressLocation.Notification);
      }
    });
}
