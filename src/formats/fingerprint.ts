import { createHash } from "node:crypto";
import { RandomAccessFile } from "./random-access-file.ts";
import { SafetensorsFile } from "./safetensors.ts";

const EDGE = 64 * 1024;

/**
 * What tells one safetensors file from another without reading gigabytes: the SHA-256, in hexadecimal, of these bytes one after the
 * other: the header (the 8 bytes of its length and its JSON, bytes 0 to 8 + length), the file's first 64 KiB, its last
 * 64 KiB. A file of less than 64 KiB is its own first and last part. Throws what `SafetensorsFile.open` throws.
 */
export async function fingerprint(path: string): Promise<string> {
  const safetensors = await SafetensorsFile.open(path);
  await safetensors.close();
  const file = await RandomAccessFile.open(path);
  try {
    const edge = Math.min(EDGE, file.size);
    const hash = createHash("sha256");
    hash.update(await file.readBytes(0, 8 + safetensors.headerLength));
    hash.update(await file.readBytes(0, edge));
    hash.update(await file.readBytes(file.size - edge, edge));
    return hash.digest("hex");
  } finally {
    await file.close();
  }
}

/**
 * The fingerprint of a checkpoint of several files (a diffusers folder): the SHA-256 of the files' fingerprints, sorted, one a line
 * ending in a newline; what the files are called does not matter. One file's is its own.
 */
export async function fingerprintOfFiles(paths: readonly string[]): Promise<string> {
  const fingerprints = await Promise.all(paths.map(fingerprint));
  if (fingerprints.length === 1) return fingerprints[0]!;
  const hash = createHash("sha256");
  for (const each of fingerprints.toSorted()) hash.update(`${each}\n`);
  return hash.digest("hex");
}
