import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadTensorRtAddon } from "../../src/engines/tensorrt/native.ts";
import { fetchRuntime, installRuntime, RUNTIME_VERSION, runtimePackage } from "../../src/engines/tensorrt/runtime.ts";
import { temporaryFolder } from "./jobs-support.ts";

const REQUIREMENT = `tensorrt-rtx-cu12-libs==${RUNTIME_VERSION}`;
const WHEEL = `tensorrt_rtx_cu12_libs-${RUNTIME_VERSION}-py3-none-any.whl`;
const { addon } = loadTensorRtAddon("rtx");

/** A program that is called as Python would be; `download` and `unpack` are shell commands, in the destination folder. */
function fakePython(folder: string, { pip = "exit 0", download = `touch ${WHEEL}`, unpack = "true" } = {}): string {
  const program = join(folder, "python");
  const script = [
    "#!/bin/sh",
    // python -m pip --version | -m pip download … --dest FOLDER REQUIREMENT | -m zipfile -e WHEEL FOLDER
    `if [ "$2 $3" = "pip --version" ]; then ${pip}; exit; fi`,
    'for word; do before=$last; last=$word; [ "$before" = --dest ] && cd "$word"; done',
    `if [ "$2" = pip ]; then ${download}; exit; fi`,
    `cd "$last" || exit 1; ${unpack}`,
  ];
  writeFileSync(program, `${script.join("\n")}\n`);
  chmodSync(program, 0o755);
  return program;
}

const COMPLETE = `mkdir -p tensorrt_rtx_libs tensorrt_rtx_cu12_libs-${RUNTIME_VERSION}.dist-info && echo none > tensorrt_rtx_libs/libtensorrt_rtx.so.1`;

test("the package is the one for the driver", () => {
  const gpu = { name: "GeForce", computeCapability: 89, freeBytes: 1, totalBytes: 1 };
  expect(runtimePackage({ ...gpu, driver: 13_000 })).toBe(`tensorrt-rtx-cu13-libs==${RUNTIME_VERSION}`);
  expect(runtimePackage({ ...gpu, driver: 12_080 })).toBe(REQUIREMENT);
  expect(runtimePackage("There is no NVIDIA driver here")).toBe(REQUIREMENT);
});

describe.skipIf(process.platform === "win32")("fetching TensorRT-RTX with pip", () => {
  const setUp = (commands: Parameters<typeof fakePython>[1] = {}) => {
    const parent = temporaryFolder();
    return { parent, folder: join(parent, "storage", "runtime"), python: fakePython(parent, commands) };
  };
  const failure = (job: Promise<unknown>) =>
    job.then(
      () => undefined,
      (error: unknown) => error as { code: string; message: string },
    );

  test("all of it appears, the wheel not, with progress", async () => {
    const { folder, python } = setUp({ download: `sleep 0.7; head -c 1000000 /dev/zero > ${WHEEL}`, unpack: COMPLETE });
    const stages: (readonly [string, number])[] = [];
    await fetchRuntime(REQUIREMENT, { python, folder, onProgress: (stage, fraction) => stages.push([stage, fraction]) });
    expect(readdirSync(folder).toSorted()).toEqual([`tensorrt_rtx_cu12_libs-${RUNTIME_VERSION}.dist-info`, "tensorrt_rtx_libs"]);
    expect(readdirSync(join(folder, ".."))).toEqual(["runtime"]);
    expect(stages[0]).toEqual(["downloading TensorRT-RTX", 0]);
    expect(stages.at(-1)).toEqual(["unpacking TensorRT-RTX", 1]);
    expect(stages.filter(([stage]) => stage.startsWith("downloading")).length).toBeGreaterThan(1);
  });

  test.each<[string, Parameters<typeof fakePython>[1], RegExp]>([
    [
      "no pip",
      { pip: "echo 'No module named pip' >&2; exit 1" },
      /^There is no Python with pip here: .*No module named pip.* Install Python 3 with pip/,
    ],
    [
      "no network",
      { download: "echo 'ERROR: Could not find a version that satisfies the requirement' >&2; echo 'WARNING: retrying' >&2; exit 1" },
      /^pip cannot download tensorrt-rtx-cu12-libs==.*: .*ERROR: Could not find a version/,
    ],
    ["no wheel", { download: "true" }, /pip has downloaded no wheel/],
    ["a damaged wheel", { unpack: "echo 'zipfile.BadZipFile: File is not a zip file' >&2; exit 1" }, /BadZipFile/],
    ["a wheel of something else", { unpack: "mkdir numpy" }, /does not hold TensorRT-RTX/],
    ["another version", { unpack: "mkdir tensorrt_rtx_libs tensorrt_rtx_cu12_libs-1.0.0.dist-info" }, /does not hold TensorRT-RTX 1\.7/],
  ])("%s: one sentence, and nothing is left", async (_name, commands, message) => {
    const { folder, python } = setUp(commands);
    const error = await failure(fetchRuntime(REQUIREMENT, { python, folder }));
    expect(error?.message).toMatch(message);
    expect(error?.code).toBe("backend.unavailable");
    expect(existsSync(folder)).toBe(false);
    if (existsSync(join(folder, ".."))) expect(readdirSync(join(folder, ".."))).toEqual([]);
  });

  test("no Python at all", async () => {
    const error = await failure(fetchRuntime(REQUIREMENT, { python: "/nowhere/python3", folder: join(temporaryFolder(), "runtime") }));
    expect(error?.message).toMatch(/^There is no Python with pip here: \/nowhere\/python3 cannot be run .*tensorrt\.pythonPath\.$/);
  });

  test("cancelled in the middle of the download, pip ends and what was there before stays", async () => {
    const { folder, python } = setUp({ download: "echo begun > begun; exec sleep 60" });
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "earlier"), "");
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 500);
    const started = performance.now();
    const error = await failure(fetchRuntime(REQUIREMENT, { python, folder, signal: controller.signal }));
    expect(error?.code).toBe("cancelled");
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(readdirSync(join(folder, ".."))).toEqual(["runtime"]);
    expect(readdirSync(folder)).toEqual(["earlier"]);
  });

  test.skipIf(addon === undefined)("libraries that cannot be loaded are removed again", async () => {
    const { folder, python } = setUp({ unpack: COMPLETE });
    const error = await failure(installRuntime({ python, folder }));
    expect(error?.message).toMatch(/was downloaded but cannot be used: .*cannot be loaded.* It was removed again\.$/);
    expect(existsSync(folder)).toBe(false);
  });
});
