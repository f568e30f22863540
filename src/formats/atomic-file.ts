import { lstat, mkdir, open, rename, rm, statfs, type FileHandle } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { throwIfCancelled, UserError } from "./errors.ts";
import { removeAbandoned, temporarySibling } from "./temporary-names.ts";

/** Where a new file's bytes go, one after the other. */
export interface FileWriter {
  write(bytes: Uint8Array): Promise<void>;
}

/** A large piece would make a cancelled job wait. */
const LARGEST_WRITE = 64 * 1024 * 1024;

/**
 * Writes a file under a temporary name in the same folder and renames it when it is complete and on the disk: readers see
 * the old file or the new one, never a part. On any error and on cancelling, the temporary file is removed; what a killed
 * process left in the folder goes first. A file that exists under that name is replaced. Throws "disk.full" or
 * "file.unwritable", naming `path`.
 */
export async function writeFileAtomically(path: string, write: (writer: FileWriter) => Promise<void>, signal?: AbortSignal): Promise<void> {
  throwIfCancelled(signal);
  const temporary = temporarySibling(path);
  await removeAbandoned(dirname(temporary));
  try {
    const handle = await open(temporary, "wx");
    try {
      await write({ write: (bytes) => writeAll(handle, bytes, signal) });
      throwIfCancelled(signal);
      await handle.sync();
    } finally {
      await handle.close();
    }
    throwIfCancelled(signal);
    await rename(temporary, path);
  } catch (error) {
    await removeQuietly(temporary);
    throw isAbout(temporary, error) ? writeError(path, error) : error;
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    throwIfCancelled(signal);
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.length - done, LARGEST_WRITE));
    done += bytesWritten;
  }
}

export interface FolderOptions {
  /** Replace a folder (or file) that exists under that name; without it that is "file.exists". */
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Builds a folder under a temporary name beside `path` and renames it when `build` is done: all of it appears, or nothing.
 * On any error and on cancelling, what was built is removed and what was there before stays.
 * @param build fills the folder whose path it is given
 */
export async function buildFolderAtomically<Result>(
  path: string,
  build: (folder: string) => Promise<Result>,
  { overwrite = false, signal }: FolderOptions = {},
): Promise<Result> {
  throwIfCancelled(signal);
  await refuseExisting(path, overwrite);
  const temporary = temporarySibling(path);
  await removeAbandoned(dirname(temporary));
  try {
    await makeFolders(dirname(temporary)).catch((error: unknown) => {
      throw writeError(path, error);
    });
    await mkdir(temporary);
    const result = await build(temporary);
    throwIfCancelled(signal);
    await refuseExisting(path, overwrite);
    await replaceFolder(temporary, path);
    return result;
  } catch (error) {
    await removeQuietly(temporary);
    throw isAbout(temporary, error) ? writeError(path, error) : error;
  }
}

/** Makes a folder and those it is in. Node's own recursive mkdir never ends where a parent takes no folders, as in /proc. */
async function makeFolders(path: string): Promise<void> {
  if (await exists(path)) return;
  await makeFolders(dirname(path));
  await mkdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
}

/** What went wrong first is the news; that its remains could not be removed either is not. */
async function removeQuietly(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => undefined);
}

/** Whether an error of the file system came from writing at `temporary`, not from something else that the callback did. */
function isAbout(temporary: string, error: unknown): boolean {
  const { path, syscall } = error as NodeJS.ErrnoException;
  return path === undefined ? syscall !== "read" : path.startsWith(temporary) || path === dirname(temporary);
}

async function refuseExisting(path: string, overwrite: boolean): Promise<void> {
  if (!overwrite && (await exists(path))) {
    throw new UserError("file.exists", `${path} exists already. Choose another name, or allow it to be overwritten.`);
  }
}

/** A folder cannot be renamed over one that is not empty, so the old one steps aside first, and back if that fails. */
async function replaceFolder(from: string, to: string): Promise<void> {
  if (!(await exists(to))) return rename(from, to);
  const aside = temporarySibling(to);
  await rename(to, aside);
  try {
    await rename(from, to);
  } catch (error) {
    await rename(aside, to);
    throw error;
  }
  await rm(aside, { recursive: true, force: true });
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ENOTDIR") return false;
      throw writeError(path, error);
    },
  );
}

/**
 * Throws "disk.full" where a folder's disk has less room than is needed, before any work is done.
 * @param folder may not exist yet: its nearest existing parent is asked
 * @param what is to be written, for the message: "the engine bundle"
 */
export async function assertSpace(folder: string, bytes: number, what: string): Promise<void> {
  const free = await freeBytes(resolve(folder));
  if (free >= bytes) return;
  throw new UserError(
    "disk.full",
    `Not enough space for ${what} in ${folder}: it needs ${formatBytes(bytes)}, and ${formatBytes(free)} are free. ` +
      "Free some space or choose another folder.",
  );
}

async function freeBytes(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    if (missing && dirname(folder) !== folder) return freeBytes(dirname(folder));
    throw writeError(folder, error);
  }
}

/** A size for people, in decimal units as file managers show them: "6.94 GB". */
export function formatBytes(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}

const UNWRITABLE: Readonly<Record<string, string>> = {
  EROFS: "the file system is read-only. Choose another folder",
  EACCES: "permission denied. Choose another folder or change its permissions",
  EPERM: "permission denied. Choose another folder or change its permissions",
  ENOENT: "the folder does not exist. Create it first",
  ENOTDIR: "a part of that path is a file, not a folder. Choose another path",
  EISDIR: "there is a folder of that name. Choose another name",
  EEXIST: "something of that name is there already. Choose another name",
  ENOTEMPTY: "there is a folder of that name. Choose another name",
  ENAMETOOLONG: "the name is too long. Choose a shorter one",
  EFBIG: "the file is larger than the file system or the process's limit allows. Choose another disk",
};

/** Turns an error of the file system into one that names the file being written; others stay as they are. */
export function writeError(path: string, error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (error instanceof UserError || typeof code !== "string" || !("syscall" in (error as Error))) return error;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new UserError("disk.full", `The disk is full: ${path} could not be written. Free some space or choose another folder.`, {
      cause: error,
    });
  }
  const reason = Object.hasOwn(UNWRITABLE, code) ? UNWRITABLE[code] : `the system says ${code}. Try another folder`;
  return new UserError("file.unwritable", `${path} cannot be written: ${reason}.`, { cause: error });
}
