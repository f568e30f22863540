import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { UserError } from "../formats/errors.ts";
import { readJsonFile } from "../formats/json-file.ts";

const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

/**
 * The safetensors files of one component of a diffusers folder, by diffusers' rules: "NAME.safetensors", or the shards that
 * "NAME.safetensors.index.json" lists. Where there is only a variant ("NAME.fp16.safetensors"), that is taken, fp16 first.
 * @param stem "diffusion_pytorch_model" for diffusers' networks, "model" for transformers'
 * Throws "checkpoint.incomplete" where there is none, "file.pickle" where there are only pickles.
 */
export async function componentFiles(folder: string, stem: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => name.startsWith(`${stem}.`) || name.startsWith(`${stem}-`)).toSorted();
  for (const variant of variants(names, stem)) {
    const whole = `${stem}${variant}.safetensors`;
    if (names.includes(whole)) return [join(folder, whole)];
    const index = [`${stem}${variant}.safetensors.index.json`, `${stem}.safetensors.index${variant}.json`].find((name) =>
      names.includes(name),
    );
    if (index) return readShards(folder, index);
  }
  const pickle = names.find((name) => name.endsWith(".bin"));
  if (pickle) {
    const reason = "is a PyTorch pickle, which can run any code while it is read, and there is no .safetensors file beside it";
    throw new UserError("file.pickle", `${join(folder, pickle)} ${reason}. Get the .safetensors version.`);
  }
  throw new UserError("checkpoint.incomplete", `${folder} has no ${stem}.safetensors. Download the folder again, with its large files.`);
}

/** "" for the files without a variant, then ".fp16", then any other. */
function variants(names: readonly string[], stem: string): string[] {
  const pattern = new RegExp(`^${stem}(?:\\.safetensors\\.index)?(\\.[a-z0-9_]+)(?:\\.safetensors|\\.safetensors\\.index\\.json|\\.json)$`);
  const found = names.map((name) => pattern.exec(name)?.[1]).filter((variant) => variant !== undefined);
  return ["", ".fp16", ...new Set(found)];
}

async function readShards(folder: string, index: string): Promise<string[]> {
  const path = join(folder, index);
  const result = indexSchema.safeParse(await readJsonFile(path));
  if (!result.success) throw new UserError("file.invalid", `${path} is no index of safetensors files: it has no "weight_map".`);
  const files = [...new Set(Object.values(result.data.weight_map))];
  const outside = files.find((file) => file !== basename(file) || !file.endsWith(".safetensors"));
  if (outside !== undefined)
    throw new UserError("file.invalid", `${path} names "${outside}", which is no safetensors file in its own folder.`);
  return files.map((file) => join(folder, file));
}
