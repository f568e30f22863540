import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { findTensorRt, requireTensorRt, searchOfEnvironment } from "../../src/engines/tensorrt/library-search.ts";
import { loadTensorRtAddon } from "../../src/engines/tensorrt/native.ts";

const LIBRARY = process.platform === "win32" ? "tensorrt_rtx_1_7.dll" : "libtensorrt_rtx.so.1";
const { addon } = loadTensorRtAddon("rtx");

describe("where TensorRT is looked for", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "libraries-"));
    for (const name of ["setting", "root", "root/lib", "path", "runtime"]) mkdirSync(join(folder, name), { recursive: true });
    vi.stubEnv("TENSORRT_ROOT", join(folder, "root"));
    vi.stubEnv("LD_LIBRARY_PATH", join(folder, "path"));
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });

  const search = (python: string) => ({ setting: join(folder, "setting"), python, installed: join(folder, "runtime") });

  test.skipIf(addon === undefined || process.platform !== "linux")("every place in order, each with its reason", () => {
    writeFileSync(join(folder, "root", "lib", LIBRARY), "no library");
    const { library, tried } = findTensorRt("tensorrt-rtx", search("/nowhere/python"));
    expect(library).toBeUndefined();
    const labels = tried.map(({ place }) => place.split(":", 1)[0]);
    expect([...new Set(labels)]).toEqual([
      "the setting",
      "TENSORRT_ROOT",
      "LD_LIBRARY_PATH",
      "the loader's path",
      "Python's packages",
      "the installed runtime",
    ]);
    const reasons = new Map(tried.map(({ place, reason }) => [place, reason]));
    expect(reasons.get(`the setting: ${join(folder, "setting", LIBRARY)}`)).toBe("the file does not exist");
    expect(reasons.get(`TENSORRT_ROOT: ${join(folder, "root", "lib", LIBRARY)}`)).toMatch(/cannot be loaded/);
    expect(reasons.get("Python's packages: /nowhere/python")).toBe("there is no such program");
  });

  test.skipIf(addon === undefined || process.platform === "win32")("a Python is asked once; a program that is none is told", () => {
    const [python, other] = [join(folder, "python"), join(folder, "other")];
    writeFileSync(python, `#!/bin/sh\necho asked >> ${join(folder, "calls")}\necho '["${join(folder, "site")}"]'\n`, { mode: 0o755 });
    writeFileSync(other, "#!/bin/sh\necho hello\n", { mode: 0o755 });
    for (let i = 0; i < 2; i++) {
      const places = findTensorRt("tensorrt-rtx", search(python)).tried.map(({ place }) => place);
      expect(places).toContain(`Python's packages: ${join(folder, "site", "tensorrt_rtx_libs", LIBRARY)}`);
    }
    expect(readFileSync(join(folder, "calls"), "utf8")).toBe("asked\n");
    const reasons = new Map(findTensorRt("tensorrt-rtx", search(other)).tried.map(({ place, reason }) => [place, reason]));
    expect(reasons.get(`Python's packages: ${other}`)).toBe("it does not say where its packages are");
  });

  test.skipIf(addon === undefined)("what is missing is one sentence with what to do", () => {
    expect(() => requireTensorRt("tensorrt-rtx", search("/nowhere/python"))).toThrow(
      /^TensorRT-RTX was not found \(of \d+ places: .*\)\. Fetch it with tensorrt-redux install-runtime/,
    );
  });

  test("an add-on that was not compiled in says so", () => {
    const { file, reason } = loadTensorRtAddon("trt10", join(folder, "root"));
    expect(reason).toMatch(/cannot be loaded/);
    expect(file).toContain("root");
  });

  test("the environment stands in for settings", () => {
    const found = searchOfEnvironment({ TENSORRT_REDUX_LIBRARIES: "/a", TENSORRT_REDUX_PYTHON: "/b", TENSORRT_REDUX_RUNTIME: "/c" });
    expect(found).toEqual({ setting: "/a", python: "/b", installed: "/c" });
    expect(searchOfEnvironment({}).installed).toMatch(/runtime$/);
  });
});
