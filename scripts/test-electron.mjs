/*
 * The suite of test/host/suite in the desktop's Visual Studio Code, which @vscode/test-electron downloads: for machines with internet
 * and a display. Where nothing can be downloaded, scripts/test-host.mjs runs the same suite.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runTests } from "@vscode/test-electron";
import { createWorkspace } from "../test/host/harness/workspace.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
execFileSync(process.execPath, [join(root, "scripts", "bundle.mjs"), "--tests"], { stdio: "inherit" });
const workspace = createWorkspace(join(root, "demo", "emoji-xl"));
try {
  process.exitCode = await runTests({
    version: "stable",
    extensionDevelopmentPath: root,
    extensionTestsPath: join(root, "dist", "test", "index.js"),
    extensionTestsEnv: { TENSORRT_TEST_SUITE: "trusted" },
    launchArgs: [workspace.folder, "--disable-extensions", "--disable-workspace-trust", "--skip-welcome"],
  });
} finally {
  workspace.remove();
}
