import { createHash } from "node:crypto";
import { throwIfCancelled } from "../../formats/errors.ts";
import { RandomAccessFile } from "../../formats/random-access-file.ts";

const PIECE = 8 * 1024 * 1024;

/** The SHA-256 of a whole file in hexadecimal, read in pieces. */
export async function contentHash(path: string, signal?: AbortSignal): Promise<string> {
  const file = await RandomAccessFile.open(path);
  try {
    const hash = createHash("sha256");
    for (let start = 0; start < file.size; start += PIECE) {
      throwIfCancelled(signal);
      hash.update(await file.readBytes(start, Math.min(PIECE, file.size - start)));
    }
    return hash.digest("hex");
  } finally {
    await file.close();
  }
}
