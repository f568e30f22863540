import * as vscode from "vscode";
import type { Jobs } from "../../worker/protocol.ts";
import { type Commands, type InspectArguments, VIEW_TYPES } from "../contributions.ts";
import { inspectText } from "../reportTexts.ts";
import { isOptions, selectedPath, toPath } from "./arguments.ts";
import { pickFile } from "./pick.ts";
import type { Services } from "./services.ts";

/** Opens a file in the inspector, an engine bundle as a text document; for a program, the numbers alone. */
export function inspect({ files, jobs, reports }: Services): Commands["tensorrt.inspect"] {
  return async (argument) => {
    if (isOptions<InspectArguments>(argument, "file")) return jobs.run("inspect", inspectOptions(argument));
    return jobs.interactively(async () => {
      let file = selectedPath(argument);
      if (file === undefined) {
        await files.ready();
        const filters = { [vscode.l10n.t("Models")]: ["safetensors", "trt_lora"] };
        file = await pickFile(vscode.l10n.t("Inspect"), vscode.l10n.t("The file to look into"), [{ files: files.all }], filters);
      }
      if (file === undefined) return undefined;
      if (!(await isFolder(file))) {
        await vscode.commands.executeCommand("vscode.openWith", vscode.Uri.file(file), VIEW_TYPES.inspector);
        return undefined;
      }
      const result = await jobs.run("inspect", { file });
      await reports.show(`${file}.txt`, inspectText(result));
      return result;
    });
  };
}

function inspectOptions({ file, base }: InspectArguments): Jobs["inspect"]["options"] {
  return { file: toPath(file), ...(base !== undefined && { base: toPath(base) }) };
}

async function isFolder(path: string): Promise<boolean> {
  const found = await vscode.workspace.fs.stat(vscode.Uri.file(path)).then(undefined, () => undefined);
  return found?.type === vscode.FileType.Directory;
}

/** What was found on this machine, as a page with what can be done about it. */
export function doctor({ doctorPanel, jobs }: Services): Commands["tensorrt.doctor"] {
  return () =>
    jobs.interactively(async () => {
      const result = await jobs.run("doctor", {});
      doctorPanel.show(result);
      return result;
    });
}
