import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { l10n } from "vscode";
import { fromWorkspace } from "./commands/arguments.ts";
import { setting } from "./contributions.ts";

/** The folder that pictures are written to, of the settings; undefined where no folder is open that it could start from. */
export function outputFolder(): string | undefined {
  return fromWorkspace(setting("outputFolder"));
}

/**
 * A new picture's file, named after the time, in the folder of the settings, which is made where it is missing.
 * @throws Error with a sentence for a person where there is no such folder
 */
export async function outputFile(now: Date): Promise<string> {
  const folder = outputFolder();
  if (folder === undefined) throw new Error(l10n.t("Pictures need a folder: open one, or set tensorrt.outputFolder to an absolute path."));
  await mkdir(folder, { recursive: true });
  const time = now.toISOString().replaceAll(/[-:]/g, "").replace("T", "-").replace(/\..*/, "");
  return join(folder, `${time}-${String(now.getMilliseconds()).padStart(3, "0")}.png`);
}
