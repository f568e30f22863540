import { isAbsolute, relative, sep } from "node:path";

/** Whether a path is a folder's, or of what lies in it at any depth. */
export function isIn(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
