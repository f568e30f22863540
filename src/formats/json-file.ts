import { UserError } from "./errors.ts";
import { formatBytes } from "./atomic-file.ts";
import { RandomAccessFile } from "./random-access-file.ts";

/** No JSON file of ours comes near it; it keeps a wrong path from being read into memory whole. */
const LARGEST_JSON = 64 * 1024 * 1024;

/** Reads a JSON file; throws "file.missing", "file.unreadable" or "file.invalid". What is in it is the caller's to check. */
export async function readJsonFile(path: string): Promise<unknown> {
  const file = await RandomAccessFile.open(path);
  try {
    if (file.size > LARGEST_JSON) throw new UserError("file.invalid", `${path} is too large to be read (${formatBytes(file.size)}).`);
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.readBytes(0, file.size));
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError("file.invalid", `${path} is not valid JSON. It may have been cut off.`, { cause: error });
  } finally {
    await file.close();
  }
}
