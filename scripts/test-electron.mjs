/*
 * The suite of test/host/suite in the desktop's Visual Studio Code, which @vscode/test-electron downloads to .vscode-test: for machines with
 * internet and a display (on Linux `xvfb-run -a` gives one). Where nothing can be downloaded, scripts/test-host.mjs runs the same suite.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runTests, TestRunFailedError } from "@vscode/test-electron";
import { createWorkspace } from "../test/host/harness/workspace.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
execFileSync(process.execPath, [join(root, "scripts", "bundle.mjs"), "--tests"], { stdio: "inherit" });
const workspace = createWorkspace(join(root, "demo", "emoji-xl"));
// Short: the window's socket is in there, and its path may have 103 characters on macOS.
const data = mkdtempSync(join(tmpdir(), "vscode-"));
try {
  await runTests({
    version: "stable",
    extensionDevelopmentPath: root,
    extensionTestsPath: join(root, "dist", "test", "index.js"),
    extensionTestsEnv: { TENSORRT_TEST_SUITE: "trusted" },
    launchArgs: [workspace.folder, "--disable-extensions", `--user-data-dir=${data}`],
  });
} catch (error) {
  // The runner has told what failed.
  if (!(error instanceof TestRunFailedError)) throw error;
  process.exitCode = 1;
} finally {
  workspace.remove();
  rmSync(data, { recursive: true, force: true, maxRetries: 5 });
}
