import { stat } from "node:fs/promises";
import { join, parse, resolve } from "node:path";
import { UserError } from "../formats/errors.ts";

const DEFAULT_IMAGE = "out.png";

/**
 * Where a run's pictures go: the name given, numbered "-1", "-2" where there are several. A name that a person gave and that is
 * taken is an error; the default name is counted up instead. Asked before anything is computed.
 */
export async function chooseImageFiles(output: string | undefined, count: number, overwrite: boolean): Promise<string[]> {
  if (output === undefined) return freeNames(count);
  if (!/\.png$/i.test(output))
    throw new UserError("option.invalid", `${output}: pictures are written as PNG. Give a name that ends in .png.`);
  const { dir, name, ext } = parse(resolve(output));
  const paths = count === 1 ? [resolve(output)] : Array.from({ length: count }, (_, index) => join(dir, `${name}-${index + 1}${ext}`));
  const taken = await firstTaken(paths);
  if (taken !== undefined && !overwrite) {
    throw new UserError("file.exists", `${taken} exists already. Choose another name, or allow it to be overwritten with --overwrite.`);
  }
  return paths;
}

async function freeNames(count: number): Promise<string[]> {
  const { name, ext } = parse(DEFAULT_IMAGE);
  const paths: string[] = [];
  for (let number = 1; paths.length < count; number++) {
    const path = resolve(number === 1 ? DEFAULT_IMAGE : `${name}-${number}${ext}`);
    if (!(await exists(path))) paths.push(path);
  }
  return paths;
}

async function firstTaken(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await exists(path)) return path;
  return undefined;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
