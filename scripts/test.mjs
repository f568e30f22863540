/*
 * Everything that must pass, in one command: `npm test`. Sets up what the tests need and the machine lacks, runs every kind of
 * test, and ends with one line "N passed, N failed, N skipped". A step without tests of its own counts as one.
 */
import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setupPython, setupSystem } from "./setup-tests.mjs";
import { setupTensorRtRtx } from "./setup-tensorrt-rtx.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const unitResults = join(root, ".test", "unit.json");
const bin = (name, ...path) => [process.execPath, join(root, "node_modules", name, ...path)];
const script = (name) => [process.execPath, join(root, "scripts", name)];

/** The last line "N passed, N failed" that a test script printed, with ", N skipped" where it can skip. */
function countsOfOutput({ code, output }) {
  const lines = output.trimEnd().split("\n");
  const match = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(lines.at(-1) ?? "");
  const counts = { passed: Number(match?.[1] ?? 0), failed: Number(match?.[2] ?? 0), skipped: Number(match?.[3] ?? 0) };
  if (counts.failed === 0 && (code !== 0 || counts.passed + counts.skipped === 0)) counts.failed = 1;
  return counts;
}

function countsOfVitest({ code }) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(readFileSync(unitResults, "utf8"));
    // A file that could not be loaded has no tests to count.
    const broken = testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0).length;
    const counts = { passed: numPassedTests, failed: numFailedTests + broken, skipped: numPendingTests + numTodoTests };
    if (counts.failed === 0 && (code !== 0 || counts.passed === 0)) counts.failed = 1;
    return counts;
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

const countsOfCode = ({ code }) => ({ passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 });

const VITEST = ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${unitResults}`];
const STEPS = [
  { name: "types", command: [...bin("typescript", "bin", "tsc"), "--noEmit"], counts: countsOfCode },
  { name: "types of webviews", command: [...bin("typescript", "bin", "tsc"), "--noEmit", "-p", "src/webview"], counts: countsOfCode },
  { name: "lint", command: [...bin("oxlint", "bin", "oxlint"), "--type-aware", "--deny-warnings"], counts: countsOfCode },
  { name: "format", command: [...bin("oxfmt", "bin", "oxfmt"), "--check"], counts: countsOfCode },
  { name: "native add-on", command: [...bin("cmake-js", "bin", "cmake-js"), "compile", "--config", "Release"], counts: countsOfCode },
  { name: "C++ tests", command: script("test-native.mjs"), counts: countsOfOutput },
  { name: "unit tests", command: [...bin("vitest", "vitest.mjs"), ...VITEST], counts: countsOfVitest },
  { name: "GPU tests", command: script("test-gpu.mjs"), counts: countsOfOutput },
  { name: "bundles", command: script("bundle.mjs"), counts: countsOfCode },
  { name: "tests in VS Code", command: script("test-host.mjs"), counts: countsOfOutput },
  { name: "VSIX", command: script("test-vsix.mjs"), counts: countsOfOutput },
];

/** Runs a step, showing its output as it comes; gives its exit code and standard output. */
function runStep([command, ...args], environment) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, env: environment, stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (data) => {
      output += data.toString();
      process.stdout.write(data);
    });
    child.once("error", (error) => resolve({ code: -1, output: `${output}${error.message}` }));
    child.once("close", (code) => resolve({ code: code ?? -1, output }));
  });
}

setupSystem();
const python = setupPython();
const path = `${join(root, "node_modules", ".bin")}${delimiter}${process.env["PATH"] ?? ""}`;
// Where it cannot be had, the tests that need it are skipped and say why.
const rtx = await setupTensorRtRtx();
const environment = {
  ...process.env,
  PATH: path,
  ...(python ? { TEST_PYTHON: python } : {}),
  ...("folder" in rtx ? { TENSORRT_RTX_LIBRARIES: rtx.folder } : {}),
};
rmSync(unitResults, { force: true });

const total = { passed: 0, failed: 0, skipped: 0 };
const summary = [];
for (const { name, command, counts } of STEPS) {
  console.log(`\n== ${name}`);
  const start = performance.now();
  const result = counts(await runStep(command, environment));
  for (const kind of Object.keys(total)) total[kind] += result[kind];
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  summary.push(`${name.padEnd(18)} ${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped (${seconds} s)`);
}
console.log(`\n${summary.join("\n")}`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 ? 1 : 0;
