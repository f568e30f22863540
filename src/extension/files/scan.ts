import type { Dirent } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";

/** Bundles and diffusers folders are known by these files inside them. */
export const FOLDER_MARKS = { "engine.json": "bundle", "model_index.json": "diffusers" } as const;
export const FILE_EXTENSIONS = { ".safetensors": "safetensors", ".trt_lora": "delta" } as const;

/** What a path is by its name alone; what is in it, only its header tells. */
export type FileForm = (typeof FOLDER_MARKS)[keyof typeof FOLDER_MARKS] | (typeof FILE_EXTENSIONS)[keyof typeof FILE_EXTENSIONS];

/** A file or folder that was found, with its size and date; a folder's are those of the file that marks it. */
export interface FoundFile {
  readonly path: string;
  readonly form: FileForm;
  readonly bytes: number;
  readonly modified: number;
}

const SKIPPED: ReadonlySet<string> = new Set(["node_modules", ".git"]);
/** Beyond what the thread pool does at once, so that it never waits. */
const STAT_AT_ONCE = 64;

/** What each model's path is in: of a marked folder the folder, of a file itself. */
function formOf(path: string): { readonly path: string; readonly form: FileForm } | undefined {
  const mark = (FOLDER_MARKS as Readonly<Record<string, FileForm>>)[basename(path)];
  if (mark) return { path: dirname(path), form: mark };
  const form = (FILE_EXTENSIONS as Readonly<Record<string, FileForm>>)[extname(path)];
  return form && { path, form };
}

/** What the found files stand for: a marked folder stands for all weights that lie in it. */
export function modelPaths(found: readonly string[]): ReadonlyMap<string, { readonly form: FileForm; readonly file: string }> {
  const models = new Map<string, { form: FileForm; file: string }>();
  for (const file of found.toSorted()) {
    const model = formOf(file);
    // engine.json comes before model_index.json: a folder with both is a bundle.
    if (model && !models.has(model.path)) models.set(model.path, { form: model.form, file });
  }
  const isFolder = (path: string): boolean => ["bundle", "diffusers"].includes(models.get(path)?.form ?? "");
  const isInModel = (path: string): boolean => {
    for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) if (isFolder(folder)) return true;
    return false;
  };
  return new Map([...models].filter(([path, { form }]) => form !== "safetensors" || !isInModel(path)));
}

/** Every model in these folders and below, by name and state: no file is opened. Folders that may not be read have none. */
export async function scanFolders(folders: readonly string[]): Promise<FoundFile[]> {
  const found: string[] = [];
  const seen = new Set<string>();
  await Promise.all(folders.map((folder) => walk(folder, found, seen)));
  const models = [...modelPaths(found)];
  const files: FoundFile[] = [];
  for (let start = 0; start < models.length; start += STAT_AT_ONCE) {
    const states = models.slice(start, start + STAT_AT_ONCE).map(async ([path, { form, file }]): Promise<FoundFile[]> => {
      const state = await stat(file).catch(() => undefined);
      return state ? [{ path, form, bytes: state.size, modified: state.mtimeMs }] : [];
    });
    files.push(...(await Promise.all(states)).flat());
  }
  return files;
}

async function walk(folder: string, found: string[], seen: Set<string>): Promise<void> {
  // Links may lead in circles, and one folder may be named twice.
  const real = await realpath(folder).catch(() => undefined);
  if (real === undefined || seen.has(real)) return;
  seen.add(real);
  const entries = await readdir(folder, { withFileTypes: true }).catch((): Dirent[] => []);
  const below: Promise<void>[] = [];
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (!entry.isDirectory() && formOf(path)) found.push(path);
    else if (!entry.isFile() && !SKIPPED.has(entry.name)) below.push(walk(path, found, seen));
  }
  await Promise.all(below);
}
