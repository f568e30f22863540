/*
 * TensorRT-RTX from PyPI under .test/rtx: its parser and its builder work on machines without a GPU, so that every graph is built by a real
 * TensorRT in the tests. TENSORRT_RTX_LIBRARIES may name a folder that holds the libraries already.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PACKAGE = "tensorrt-rtx-cu12-libs==1.7.1.116";
const folder = fileURLToPath(new URL("../.test/rtx", import.meta.url));

/** The libraries' folder, or why there are none. */
export function setupTensorRtRtx(): { readonly folder: string } | { readonly reason: string } {
  const named = process.env["TENSORRT_RTX_LIBRARIES"];
  if (named) return existsSync(named) ? { folder: named } : { reason: `TENSORRT_RTX_LIBRARIES names ${named}, which does not exist` };
  if (process.platform !== "linux" || process.arch !== "x64") return { reason: "the package is for Linux on x86-64" };
  const libraries = join(folder, "tensorrt_rtx_libs");
  if (existsSync(libraries)) return { folder: libraries };

  console.log(`Fetching ${PACKAGE} under .test/ (once)…`);
  const temporary = `${folder}.${process.pid}.tmp`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  try {
    const download = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", temporary, PACKAGE];
    const { status, stderr } = spawnSync("python3", download, { encoding: "utf8" });
    if (status !== 0) return { reason: `pip cannot get ${PACKAGE}: ${lastLine(stderr) ?? "there is no Python with pip"}` };
    const wheel = readdirSync(temporary).find((name) => name.endsWith(".whl"));
    const unpacked = spawnSync("python3", ["-m", "zipfile", "-e", join(temporary, wheel!), temporary], { encoding: "utf8" });
    if (unpacked.status !== 0) return { reason: `the package cannot be unpacked: ${lastLine(unpacked.stderr)}` };
    rmSync(join(temporary, wheel!));
    rmSync(folder, { recursive: true, force: true });
    renameSync(temporary, folder);
    return { folder: libraries };
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function lastLine(text: string | null): string | undefined {
  return text?.trimEnd().split("\n").at(-1);
}
