import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname, join, parse, resolve } from "node:path";
import { writeError } from "../formats/atomic-file.ts";
import { UserError } from "../formats/errors.ts";

const DEFAULT_IMAGE = "out.png";

/**
 * Where a run's pictures go: the name given, numbered "-1", "-2" where there are several. A name that a person gave and that is
 * taken is an error; the default name is counted up instead. Asked before anything is computed.
 */
export async function chooseImageFiles(output: string | undefined, count: number, overwrite: boolean): Promise<string[]> {
  if (output === undefined) {
    await requireWritableFolder(resolve(DEFAULT_IMAGE));
    return freeNames(count);
  }
  if (!/\.png$/i.test(output))
    throw new UserError("option.invalid", `${output}: pictures are written as PNG. Give a name that ends in .png.`);
  const { dir, name, ext } = parse(resolve(output));
  const paths = count === 1 ? [resolve(output)] : Array.from({ length: count }, (_, index) => join(dir, `${name}-${index + 1}${ext}`));
  for (const path of paths) await checkOutputFile(path, overwrite);
  return paths;
}

/** Asks before anything is computed whether a file can be written: "file.exists", or "file.unwritable" where there is no folder for it. */
export async function checkOutputFile(path: string, overwrite: boolean): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) throw new UserError("file.unwritable", `${path} is a folder. Give the name of a file.`);
  if (found && !overwrite) {
    throw new UserError("file.exists", `${path} exists already. Choose another name, or allow it to be overwritten with --overwrite.`);
  }
  await requireWritableFolder(path);
}

/**
 * Asks before anything is computed whether a safetensors file can be written: what `checkOutputFile` throws, and "option.invalid" for
 * another extension or the name of a file that is read.
 */
export async function checkSafetensorsOutput(path: string, overwrite: boolean, inputs: readonly string[]): Promise<void> {
  if (!/\.safetensors$/i.test(path)) {
    throw new UserError("option.invalid", `${path}: a safetensors file is written. Give a name that ends in .safetensors.`);
  }
  if (inputs.some((input) => resolve(input) === resolve(path))) {
    throw new UserError(
      "option.invalid",
      `${path} is one of the files that are read, which the output would replace. Choose another output.`,
    );
  }
  await checkOutputFile(path, overwrite);
}

async function requireWritableFolder(file: string): Promise<void> {
  await access(dirname(file), constants.W_OK).catch((error: unknown) => {
    throw writeError(file, error);
  });
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

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
