import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { UserError } from "../formats/errors.ts";

const EXTENSIONS = [".trt_lora", ".safetensors"];

/**
 * The file that `<lora:NAME:SCALE>` in a prompt means: NAME with an extension of LoRAs or deltas, looked for in the working
 * folder, in its `loras` and `lora`, beside the engine bundle and in the same folders there. NAME may itself be a path.
 */
export async function findLora(name: string, bundleFolder: string): Promise<string> {
  const roots = [...new Set([process.cwd(), dirname(bundleFolder)])];
  const folders = roots.flatMap((root) => [root, join(root, "loras"), join(root, "lora")]);
  for (const folder of folders) {
    const path = join(folder, name);
    const siblings = await readdir(dirname(path)).catch((): string[] => []);
    const wanted = [name, ...EXTENSIONS.map((extension) => `${name}${extension}`)].map((each) => join(folder, each));
    const match = wanted.find((each) => hasLoraExtension(each) && siblings.some((sibling) => join(dirname(path), sibling) === each));
    if (match) return match;
  }
  throw new UserError(
    "file.missing",
    `<lora:${name}:…> in the prompt: no ${name}.safetensors or ${name}.trt_lora in ${folders.slice(0, 3).join(", ")} or beside the engine. Put it there, or use --lora with its path.`,
  );
}

/** The name by which a prompt refers to a file: "ink" for "loras/ink.safetensors". */
export function loraName(file: string): string {
  return basename(file).replace(/\.(safetensors|trt_lora)$/i, "");
}

function hasLoraExtension(path: string): boolean {
  return EXTENSIONS.some((extension) => path.toLowerCase().endsWith(extension));
}
