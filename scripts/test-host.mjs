/*
 * Tests the extension in a real VS Code: the suite inside the extension host (test/host/suite), then again in an untrusted
 * workspace, then what a person does in the window (test/host/flows). `--suite`, `--restricted`, `--flows` run one part alone,
 * a last word runs the tests whose name holds it. Screenshots go to .test/screenshots/.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setupChromium, setupServer } from "./setup-vscode.mjs";
import { MARK } from "../test/host/harness/runner.ts";
import { startServer } from "../test/host/harness/server.ts";
import { launchBrowser, Workbench } from "../test/host/harness/workbench.ts";
import { createWorkspace } from "../test/host/harness/workspace.ts";

const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
const screenshots = join(root, ".test", "screenshots");
const PARTS = ["--suite", "--restricted", "--flows"];
const asked = process.argv.slice(2);
const parts = asked.some((word) => PARTS.includes(word)) ? PARTS.filter((part) => asked.includes(part)) : PARTS;
const only = asked.find((word) => !word.startsWith("--")) ?? "";
const SUITE_LIMIT_MILLISECONDS = 10 * 60_000;

/** A server, a workspace and a browser for `body`; all gone afterwards. */
async function withServer(tools, setup, body) {
  const workspace = createWorkspace(join(root, "demo", "emoji-xl"));
  setup.prepare?.(workspace.folder);
  const data = join(root, ".test", `server-data-${process.pid}-${Date.now()}`);
  let server;
  let browser;
  try {
    server = await startServer(tools.server, data, setup);
    browser = await launchBrowser(tools.chromium);
    return await body({ browser, server, workspace: workspace.folder });
  } finally {
    await browser?.close();
    await server?.stop();
    workspace.remove();
    rmSync(data, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Runs the suite in the extension host; returns its counts. */
function runSuite(tools, name) {
  const environment = { TENSORRT_TEST_SUITE: name, TENSORRT_TEST_ONLY: only };
  return withServer(tools, { environment, suite: true, trusted: name === "trusted" }, async ({ browser, server, workspace }) => {
    const lines = [];
    const everything = [];
    const onLog = (text) => {
      everything.push(text);
      if (!text.startsWith(MARK)) return;
      lines.push(text.slice(MARK.length));
      console.log(`  ${text.slice(MARK.length)}`);
    };
    const suite = join(root, "dist", "test", "index.js");
    const workbench = await Workbench.open(browser, { port: server.port, workspace, extension: root, suite, onLog }, screenshots);
    let timer;
    const limit = new Promise((resolve) => (timer = setTimeout(resolve, SUITE_LIMIT_MILLISECONDS, "no end")));
    const code = await Promise.race([workbench.exit, limit]);
    clearTimeout(timer);
    await workbench.screenshot(`suite-${name}-end`);
    const counts = /^(\d+) passed, (\d+) failed$/.exec(lines.at(-1) ?? "");
    if (!counts) {
      console.error(`  The ${name} suite did not finish (${code}); the window's log:\n${everything.slice(-60).join("\n")}`);
      return { passed: 0, failed: 1 };
    }
    return { passed: Number(counts[1]), failed: Number(counts[2]) };
  });
}

/** Runs one flow, in a window, a workspace and a server of its own; tells whether it passed. One that cannot even begin ends no other. */
async function runFlow(tools, file, flow) {
  const start = Date.now();
  const { settings, language, prepare, trusted = true } = flow;
  const setup = { settings, language, installed: root, trusted, prepare };
  try {
    await withServer(tools, setup, async ({ browser, server, workspace }) => {
      const openWindow = () => Workbench.open(browser, { port: server.port, workspace }, screenshots);
      const workbench = await openWindow();
      const { processId, changeSettings } = server;
      try {
        await flow.run({ workbench, workspace, server: processId, changeSettings, openWindow });
      } catch (error) {
        await workbench.screenshot(`failed-${file.replace(".flow.ts", "")}`);
        throw error;
      }
    });
    console.log(`  ✓ ${flow.name} (${Date.now() - start} ms)`);
    return true;
  } catch (error) {
    console.log(`  ✗ ${flow.name}\n${error instanceof Error ? error.stack : String(error)}`);
    return false;
  }
}

/** Runs every flow. */
async function runFlows(tools) {
  const files = readdirSync(join(root, "test", "host", "flows")).filter((name) => name.endsWith(".flow.ts"));
  if (files.length === 0) throw new Error("No flow was found in test/host/flows.");
  const counts = { passed: 0, failed: 0 };
  for (const file of files.toSorted()) {
    const { flow } = await import(`../test/host/flows/${file}`);
    if (!flow.name.includes(only)) continue;
    counts[(await runFlow(tools, file, flow)) ? "passed" : "failed"]++;
  }
  return counts;
}

const tools = { server: setupServer(), chromium: setupChromium() };
execFileSync(process.execPath, [join(root, "scripts", "bundle.mjs"), "--tests"], { stdio: "inherit" });
rmSync(screenshots, { recursive: true, force: true });
const total = { passed: 0, failed: 0 };
for (const part of parts) {
  const title = { "--suite": "extension host", "--restricted": "extension host, untrusted workspace", "--flows": "window" }[part];
  console.log(`VS Code: ${title}`);
  const { passed, failed } =
    part === "--flows" ? await runFlows(tools) : await runSuite(tools, part === "--suite" ? "trusted" : "restricted");
  total.passed += passed;
  total.failed += failed;
}
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
