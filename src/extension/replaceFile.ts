import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/** Writes a file as a whole, in a folder that is made where it is missing: who reads it finds the old text or the new one. */
export async function replaceFile(file: string, text: string): Promise<void> {
  // Two windows may write at once: each its own file, and the last one stays.
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(temporary, text);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
