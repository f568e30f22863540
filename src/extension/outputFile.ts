import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fromWorkspace } from "./commands/arguments.ts";
import { setting } from "./contributions.ts";

/** The folder that pictures are written to, of the settings; undefined where no folder is open that it could start from. */
export function outputFolder(): string | undefined {
  return fromWorkspace(setting("outputFolder"));
}

/** A new picture's file, named after the time, in the folder of the settings, which is made where it is missing. */
export async function outputFile(now: Date): Promise<string | undefined> {
  const folder = outputFolder();
  if (folder === undefined) return undefined;
  await mkdir(folder, { recursive: true });
  const time = now.toISOString().replaceAll(/[-:]/g, "").replace("T", "-").replace(/\..*/, "");
  return join(folder, `${time}-${String(now.getMilliseconds()).padStart(3, "0")}.png`);
}
