import { readdir } from "node:fs/promises";
import { ENGINE_FILE, readEngineBundle, type EngineBundle } from "../formats/engine-bundle.ts";
import { UserError } from "../formats/errors.ts";

/** Overwriting removes the folder and all in it, so it must be nothing but a bundle. */
export async function refuseOtherThanBundle(folder: string): Promise<void> {
  const entries = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === "ENOENT") return [];
    throw new UserError("file.exists", `${folder} is not a folder, so it is not overwritten. Choose another name.`, { cause: error });
  });
  if (entries.length === 0) return;
  const isBundle = entries.includes(ENGINE_FILE);
  const bundle = isBundle ? await readEngineBundle(folder).catch(() => undefined) : undefined;
  const known = new Set(bundle && bundleFiles(bundle));
  // A broken bundle says nothing of its files: their names have to do.
  const other = entries.find((entry) =>
    bundle ? !known.has(entry) : !/^engine\.json$|_weights\.json$|\.(?:onnx|engine|safetensors)$/.test(entry),
  );
  if (isBundle && other === undefined) return;
  const reason = isBundle ? `holds ${other}, which is no part of the engine bundle` : "is not an engine bundle";
  throw new UserError("file.exists", `${folder} ${reason}, so it is not overwritten. Choose another folder.`);
}

function bundleFiles({ components, weightFiles }: EngineBundle): string[] {
  const named = components.flatMap(({ engine, onnx, weights }) => [engine, onnx, weights].filter((file) => file !== undefined));
  return [ENGINE_FILE, ...named, ...weightFiles.map(({ file }) => file)];
}
