import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ENGINE_FILE } from "../formats/engine-bundle.ts";
import { UserError } from "../formats/errors.ts";

/**
 * The bundle's folder that a person means: the folder itself, its engine.json or another file in it, or a folder that holds
 * exactly one bundle.
 */
export async function findBundle(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw new UserError("file.missing", `${path} does not exist. Give the folder of an engine bundle.`);
  if (found.isFile()) {
    const folder = dirname(path);
    if (basename(path) === ENGINE_FILE || (await isBundle(folder))) return folder;
    throw new UserError("bundle.invalid", `${path} is not an engine bundle. Export it first: tensorrt-redux export ${path}`);
  }
  if (await isBundle(path)) return path;
  const inside: string[] = [];
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory() && (await isBundle(join(path, entry.name)))) inside.push(join(path, entry.name));
  }
  if (inside.length === 1) return inside[0]!;
  if (inside.length === 0) {
    throw new UserError("bundle.invalid", `${path} is not an engine bundle: it has no ${ENGINE_FILE}. Export a checkpoint to make one.`);
  }
  throw new UserError("bundle.invalid", `${path} holds ${inside.length} engine bundles. Name one: ${inside.join(", ")}`);
}

async function isBundle(folder: string): Promise<boolean> {
  return (await stat(join(folder, ENGINE_FILE)).catch(() => undefined))?.isFile() ?? false;
}
