import { isAbsolute } from "node:path";

/**
 * The absolute paths of a setting that lists folders; a settings file may hold anything.
 * @returns with whether all of it is a list of texts
 */
export function settingFolders(value: unknown): { readonly folders: readonly string[]; readonly isList: boolean } {
  const entries: readonly unknown[] = Array.isArray(value) ? value : [];
  const texts = entries.filter((entry) => typeof entry === "string");
  return { folders: texts.filter((path) => isAbsolute(path)), isList: Array.isArray(value) && texts.length === entries.length };
}
