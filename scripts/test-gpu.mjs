/*
 * The TensorRT backend's tests on this machine's GPU (test/gpu): `npm run test:gpu`. Prints the counts last; where there is no GPU or no
 * TensorRT, one skipped and why.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findGpu } from "../src/engines/tensorrt/gpu.ts";
import { findTensorRt } from "../src/engines/tensorrt/library-search.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const emoji = join(root, "demo", "emoji-xl");

function obstacle() {
  const gpu = findGpu();
  if (typeof gpu === "string") return gpu;
  const { library, tried } = findTensorRt("tensorrt");
  return library ? undefined : `TensorRT was not found: ${tried.map(({ place, reason }) => `${place}: ${reason}`).join("; ")}`;
}

function node(args, environment = {}) {
  return spawnSync(process.execPath, args, { stdio: "inherit", env: { ...process.env, NODE_NO_WARNINGS: "1", ...environment } });
}

/** "# pass 12" and so on, at the end of the runner's TAP report. */
function counts(report) {
  const text = existsSync(report) ? readFileSync(report, "utf8") : "";
  const count = (name) => Number(new RegExp(`^# ${name} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
  return { passed: count("pass"), failed: count("fail") + count("cancelled"), skipped: count("skipped") + count("todo") };
}

const reason = obstacle();
if (reason !== undefined) {
  console.log(`skipped: ${reason}`);
  console.log("0 passed, 0 failed, 1 skipped");
} else {
  const work = mkdtempSync(join(tmpdir(), "gpu-tests-"));
  const kept = join(root, ".test", "gpu");
  mkdirSync(kept, { recursive: true });
  const reference = join(work, "reference.safetensors");
  const report = join(kept, "report.tap");
  rmSync(report, { force: true });
  node([join(root, "scripts", "gpu", "make-reference.ts"), emoji, reference]);
  const folder = join(root, "test", "gpu");
  const files = readdirSync(folder).filter((name) => name.endsWith(".test.ts"));
  const reporters = ["spec", "tap"].map((name) => `--test-reporter=${name}`);
  const destinations = ["stdout", report].map((place) => `--test-reporter-destination=${place}`);
  const { status } = node(["--test", "--test-concurrency=1", ...reporters, ...destinations, ...files.map((name) => join(folder, name))], {
    EMOJI_XL: emoji,
    GPU_REFERENCE: reference,
    GPU_WORK: work,
    GPU_TIMING_CACHE: join(kept, "timing"),
  });
  rmSync(work, { recursive: true, force: true });
  const { passed, failed, skipped } = counts(report);
  const broken = failed === 0 && (status !== 0 || passed === 0) ? 1 : failed;
  console.log(`${passed} passed, ${broken} failed, ${skipped} skipped`);
  process.exitCode = broken > 0 ? 1 : 0;
}
