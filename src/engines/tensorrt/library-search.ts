import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { z } from "zod";
import { UserError } from "../../formats/errors.ts";
import { DEFAULT_PYTHON } from "./pip.ts";
import { loadTensorRtAddon, toUserError, type Flavour, type NativeLibraryInformation, type NativeTensorRt } from "./native.ts";

/** One of the backends that TensorRT's libraries make. */
export type TensorRtName = "tensorrt" | "tensorrt-rtx";

/** Where to look beyond the loader's own places. */
export interface LibrarySearch {
  /** The folder that a setting names. */
  readonly setting?: string | undefined;
  /** The Python whose packages are looked at. */
  readonly python?: string | undefined;
  /** Where `tensorrt.installRuntime` puts its download. */
  readonly installed?: string | undefined;
}

export interface TriedPlace {
  readonly place: string;
  readonly reason: string;
}

/** The library that will be used, or none, and every place that was looked in before it. */
export interface FoundLibrary {
  readonly library?: {
    readonly addon: NativeTensorRt;
    /** As the add-on takes it: "" for the loader's own places. */
    readonly folder: string;
    readonly information: NativeLibraryInformation;
  };
  readonly tried: readonly TriedPlace[];
}

interface Kind {
  readonly flavour: Flavour;
  readonly file: string;
  readonly package: string;
}

const WINDOWS = process.platform === "win32";

/** Newest first. */
const KINDS: Readonly<Record<TensorRtName, readonly Kind[]>> = {
  tensorrt: [
    { flavour: "trt11", file: WINDOWS ? "nvinfer_11.dll" : "libnvinfer.so.11", package: "tensorrt_libs" },
    { flavour: "trt10", file: WINDOWS ? "nvinfer_10.dll" : "libnvinfer.so.10", package: "tensorrt_libs" },
  ],
  "tensorrt-rtx": [{ flavour: "rtx", file: WINDOWS ? "tensorrt_rtx_1_7.dll" : "libtensorrt_rtx.so.1", package: "tensorrt_rtx_libs" }],
};

/**
 * The search that environment variables describe: what the command line has instead of settings, and how the extension hands its settings
 * to the processes that it starts.
 */
export function searchOfEnvironment(environment: NodeJS.ProcessEnv = process.env): LibrarySearch & { readonly installed: string } {
  return {
    setting: environment["TENSORRT_REDUX_LIBRARIES"],
    python: environment["TENSORRT_REDUX_PYTHON"],
    installed: environment["TENSORRT_REDUX_RUNTIME"] ?? join(homedir(), ".tensorrt-redux", "runtime"),
  };
}

/**
 * Looks for a backend's library: the setting's folder, TENSORRT_ROOT, the loader's own places, the packages of the chosen Python, the
 * installed runtime; the first that loads and has the right version is used. Never throws.
 */
export function findTensorRt(name: TensorRtName, search: LibrarySearch = searchOfEnvironment()): FoundLibrary {
  const tried: TriedPlace[] = [];
  const addons = new Map(KINDS[name].map((kind) => [kind, loadTensorRtAddon(kind.flavour)] as const));
  if ([...addons.values()].every(({ addon }) => addon === undefined)) {
    return { tried: Array.from(addons.values(), ({ file, reason }) => ({ place: file, reason: reason! })) };
  }
  for (const { label, folder } of places(KINDS[name][0]!.package, search, tried)) {
    for (const [kind, { file, addon, reason }] of addons) {
      const place = join(folder, kind.file);
      const isThere = folder === "" || existsSync(place);
      if (!isThere) tried.push({ place: `${label}: ${place}`, reason: "the file does not exist" });
      else if (!addon) tried.push({ place: file, reason: reason! });
      else {
        const result = tryLibrary(addon, folder);
        if (typeof result !== "string") return { library: { addon, folder, information: result }, tried };
        tried.push({ place: `${label}: ${place}`, reason: result });
      }
    }
  }
  return { tried };
}

function tryLibrary(addon: NativeTensorRt, folder: string): NativeLibraryInformation | string {
  try {
    return addon.information(folder);
  } catch (error) {
    return toUserError(error).message;
  }
}

/** In order; what costs time is only asked for when its turn comes. */
function* places(
  packageName: string,
  { setting, python, installed }: LibrarySearch,
  tried: TriedPlace[],
): Generator<{ readonly label: string; readonly folder: string }> {
  if (setting) yield { label: "the setting", folder: setting };
  const root = process.env["TENSORRT_ROOT"];
  if (root) for (const folder of [join(root, "lib"), join(root, "bin"), root]) yield { label: "TENSORRT_ROOT", folder };
  for (const folder of (process.env[WINDOWS ? "PATH" : "LD_LIBRARY_PATH"] ?? "").split(delimiter)) {
    if (folder !== "" && !WINDOWS) yield { label: "LD_LIBRARY_PATH", folder };
  }
  yield { label: "the loader's path", folder: "" };
  for (const folder of pythonFolders(python, tried)) yield { label: "Python's packages", folder: join(folder, packageName) };
  if (installed) yield { label: "the installed runtime", folder: join(installed, packageName) };
}

/** By program: a Python's folders do not change while a process lives, and asking it takes a tenth of a second. */
const knownFolders = new Map<string, readonly string[]>();

/** The folders that a Python's packages are in; none where there is no Python. */
function pythonFolders(python: string | undefined, tried: TriedPlace[]): readonly string[] {
  const program = python ?? DEFAULT_PYTHON;
  const known = knownFolders.get(program);
  if (known) return known;
  const script = "import json, site, sysconfig; print(json.dumps([sysconfig.get_path('purelib'), site.getusersitepackages()]))";
  const { status, stdout, error } = spawnSync(program, ["-I", "-c", script], { encoding: "utf8", timeout: 10_000, windowsHide: true });
  try {
    if (status === 0) {
      const folders = [...new Set(z.array(z.string()).parse(JSON.parse(stdout)))];
      knownFolders.set(program, folders);
      return folders;
    }
  } catch {
    // It is told below: a program of that name that is no Python may print anything.
  }
  const reason = error ? "there is no such program" : "it does not say where its packages are";
  tried.push({ place: `Python's packages: ${program}`, reason });
  return [];
}

/** What to do where a library is missing. */
export const HOW_TO_GET: Readonly<Record<TensorRtName, string>> = {
  tensorrt: "Install it (pip install tensorrt), or name its folder: TENSORRT_ROOT, or the setting tensorrt.libraryPath.",
  "tensorrt-rtx":
    "Fetch it with tensorrt-redux install-runtime (in VS Code: Install Runtime), or name its folder: TENSORRT_ROOT, or the setting tensorrt.libraryPath.",
};

/** The library, or a "backend.unavailable" error that says where it was looked for. */
export function requireTensorRt(name: TensorRtName, search?: LibrarySearch): NonNullable<FoundLibrary["library"]> {
  const { library, tried } = findTensorRt(name, search);
  if (library) return library;
  const label = name === "tensorrt" ? "TensorRT" : "TensorRT-RTX";
  const last = tried.at(-1);
  const reason = last ? ` (of ${tried.length} places: ${last.place}: ${last.reason})` : "";
  throw new UserError(
    "backend.unavailable",
    `${label} was not found${reason}. ${HOW_TO_GET[name]} Or use --backend onnxruntime; doctor lists every place.`,
  );
}
