import * as vscode from "vscode";
import type { Commands } from "../contributions.ts";
import { isOptions, selectedPath, toPath } from "./arguments.ts";
import type { Services } from "./services.ts";
import { askEngine } from "./suggest.ts";

/** Brings an engine into memory, so that the next picture starts at once. */
export function loadEngine({ files, jobs }: Services): Commands["tensorrt.loadEngine"] {
  return async (argument) => {
    if (isOptions<{ engine: string | vscode.Uri }>(argument, "engine")) {
      return jobs.loadEngine(toPath(argument.engine), vscode.ProgressLocation.Window);
    }
    return jobs.interactively(async () => {
      const engine = selectedPath(argument) ?? (await askEngine(files, vscode.l10n.t("Load Engine"), []));
      return engine === undefined ? undefined : jobs.loadEngine(engine, vscode.ProgressLocation.Notification);
    });
  };
}

/** Frees an engine's memory. */
export function unloadEngine({ files, jobs, worker }: Services): Commands["tensorrt.unloadEngine"] {
  return async (argument) => {
    if (isOptions<{ engine: string | vscode.Uri }>(argument, "engine")) return worker.unloadEngine(toPath(argument.engine));
    await jobs.interactively(async () => {
      const loaded = worker.loadedEngines.map(({ path }) => path);
      const engine =
        selectedPath(argument) ?? (loaded.length === 1 ? loaded[0] : await askEngine(files, vscode.l10n.t("Unload Engine"), loaded));
      if (engine !== undefined) await worker.unloadEngine(engine);
    });
  };
}
