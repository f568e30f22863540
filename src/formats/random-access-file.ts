import { open, stat, type FileHandle } from "node:fs/promises";
import { UserError } from "./errors.ts";

/** Node reads at most 2 GiB at once, and a cancelled job should not have to wait for more than a piece. */
const LARGEST_READ = 256 * 1024 * 1024;

/** A file opened for reading at any place. */
export class RandomAccessFile {
  readonly path: string;
  readonly size: number;
  readonly #handle: FileHandle;

  private constructor(path: string, size: number, handle: FileHandle) {
    this.path = path;
    this.size = size;
    this.#handle = handle;
  }

  /** Throws "file.missing" or "file.unreadable"; a folder, a pipe or a device is unreadable (opening a pipe would wait). */
  static async open(path: string): Promise<RandomAccessFile> {
    try {
      if (!(await stat(path)).isFile()) throw new UserError("file.unreadable", `${path} is not a file. Give the path of a file.`);
      const handle = await open(path, "r");
      return new RandomAccessFile(path, (await handle.stat()).size, handle);
    } catch (error) {
      throw readError(path, error);
    }
  }

  /** Fills `bytes` from the file's byte `position` on; throws "file.truncated" where the file ends before. */
  async read(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const piece = Math.min(bytes.length - done, LARGEST_READ);
      let bytesRead: number;
      try {
        ({ bytesRead } = await this.#handle.read(bytes, done, piece, position + done));
      } catch (error) {
        throw readError(this.path, error);
      }
      if (bytesRead === 0) {
        throw new UserError(
          "file.truncated",
          `${this.path} ended at byte ${position + done} while it was read. Is it still being written?`,
        );
      }
      done += bytesRead;
    }
  }

  /** `length` bytes from `position` on, in a buffer of their own that is aligned for every element size. */
  async readBytes(position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
    await this.read(bytes, position);
    return bytes;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Turns an error of the file system into one that names the file. */
export function readError(path: string, error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (error instanceof UserError || typeof code !== "string") return error;
  if (code === "ENOENT" || code === "ENOTDIR") return new UserError("file.missing", `${path} does not exist.`, { cause: error });
  if (code === "EACCES" || code === "EPERM") {
    return new UserError("file.unreadable", `${path} may not be read: permission denied. Check the file's permissions.`, { cause: error });
  }
  return new UserError("file.unreadable", `${path} could not be read (${code}).`, { cause: error });
}
