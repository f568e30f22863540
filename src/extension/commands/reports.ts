import * as vscode from "vscode";
import type { Commands, InspectArguments } from "../contributions.ts";
import { inspectText } from "../reportTexts.ts";
import { isOptions, selectedPath, toPath } from "./arguments.ts";
import { pickFile } from "./pick.ts";
import type { Services } from "./services.ts";

/** A file's header, tensors and metadata as a text document; for a program, as the result alone. */
export function inspect({ files, jobs, reports }: Services): Commands["tensorrt.inspect"] {
  return async (argument) => {
    if (isOptions<InspectArguments>(argument, "file")) return jobs.run("inspect", { file: toPath(argument.file) });
    return jobs.interactively(async () => {
      let file = selectedPath(argument);
      if (file === undefined) {
        await files.ready();
        const filters = { [vscode.l10n.t("Models")]: ["safetensors", "trt_lora"] };
        file = await pickFile(vscode.l10n.t("Inspect"), vscode.l10n.t("The file to look into"), [{ files: files.all }], filters);
      }
      if (file === undefined) return undefined;
      const result = await jobs.run("inspect", { file });
      await reports.show(`${file}.txt`, inspectText(result));
      return result;
    });
  };
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
