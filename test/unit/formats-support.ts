import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";
import { UserError } from "../../src/formats/errors.ts";

export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/formats/${name}`, import.meta.url));
}

/** A folder of the test file's own, removed when its tests are done. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "formats-"));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A safetensors file's bytes, right or wrong: the header is taken as it is. */
export function safetensorsBytes(header: unknown, data: number | Uint8Array = 0): Buffer {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, typeof data === "number" ? Buffer.alloc(data) : data]);
}

export async function writeBytes(folder: string, name: string, bytes: Uint8Array | string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

/** The UserError a promise ends in, as "code: message" with the path written as FILE. */
export async function failure(promise: Promise<unknown>, path: string): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return `${error.code}: ${error.message.replaceAll(path, "FILE")}`;
  }
  throw new Error("It did not fail.");
}

/** A small random generator (mulberry32), so that a failing case can be made again from its seed. */
export function randomGenerator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}
