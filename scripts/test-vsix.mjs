/*
 * Makes the VSIX, installs it into a real VS Code and uses it once: the checkpoint of the demo is exported by a task in the window,
 * then the installed command line draws a picture with that engine bundle. Nothing of the repository is in reach of what is tested
 * but the demo's files.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setupChromium, setupServer } from "./setup-vscode.mjs";
import { startServer } from "../test/host/harness/server.ts";
import { launchBrowser, Workbench } from "../test/host/harness/workbench.ts";
import { createWorkspace } from "../test/host/harness/workspace.ts";

const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
const data = join(root, ".test", `vsix-data-${process.pid}`);
const screenshots = join(root, ".test", "screenshots");
const EXPORT_LIMIT_MILLISECONDS = 120_000;

function packageVsix() {
  const output = execFileSync(process.execPath, [join(root, "scripts", "package.mjs")], { encoding: "utf8" });
  const [, file, megabytes] = /^(.+\.vsix): ([\d.]+) MB$/m.exec(output) ?? [];
  assert.ok(file, `No package was made:\n${output}`);
  console.log(`  ${file}: ${megabytes} MB`);
  return join(process.cwd(), file);
}

/** Installs the package as `code --install-extension` does; gives the folder it was put into. */
function install(server, vsix) {
  const options = ["--accept-server-license-terms", "--server-data-dir", data, "--install-extension", vsix];
  execFileSync(process.execPath, [join("out", "server-main.js"), ...options], { cwd: server, stdio: ["ignore", "ignore", "inherit"] });
  const [folder, ...others] = readdirSync(join(data, "extensions")).filter((name) => name.startsWith("tensorrt-redux."));
  assert.ok(folder && others.length === 0, "The extension was not installed.");
  return join(data, "extensions", folder);
}

function checkFiles(extension) {
  const files = readdirSync(extension, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const stray = files.map(({ name }) => name).filter((name) => /\.(map|ts|test\.js|safetensors|cc|h)$/.test(name));
  assert.deepEqual(stray, [], "Files that are of no use to anybody who installs the extension.");
  for (const name of ["THIRD-PARTY-NOTICES.txt", "LICENSE.txt", "build/Release/tensorrt_redux.node", "dist/worker.js"]) {
    assert.ok(existsSync(join(extension, name)), `${name} is missing from the package.`);
  }
}

/** Runs the installed command line; gives its result object. */
function runCli(extension, ...args) {
  const output = execFileSync(process.execPath, [join(extension, "dist", "cli.js"), ...args, "--json"], { encoding: "utf8", cwd: data });
  const result = JSON.parse(output.trimEnd().split("\n").at(-1));
  assert.equal(result.type, "result", output);
  return result;
}

function checkDoctor(extension) {
  const { findings } = runCli(extension, "doctor");
  for (const name of ["ONNX Runtime", "add-on"]) {
    const finding = findings.find((each) => each.name.includes(name));
    assert.equal(finding?.state, "found", `doctor on ${name}: ${JSON.stringify(finding)}`);
  }
}

async function until(condition, limit, what) {
  const end = Date.now() + limit;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`${what} did not happen in ${limit / 1000} s.`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Picks a task to run; again where the window, which has just been trusted, closes the list to start extensions anew. */
async function runTask(workbench, name) {
  for (let attempt = 1; ; attempt++) {
    try {
      await workbench.quickPickRow(name).first().click({ timeout: 15_000 });
      return;
    } catch (error) {
      if (attempt === 4) throw error;
      await workbench.command("Tasks: Run Task");
    }
  }
}

/** Exports the demo's checkpoint by a task of the workspace; gives the engine bundle's folder. */
async function exportInWindow(tools, workspace) {
  const server = await startServer(tools.server, data, { trusted: false });
  const browser = await launchBrowser(tools.chromium);
  try {
    const workbench = await Workbench.open(browser, { port: server.port, workspace }, screenshots);
    try {
      const bundles = join(workspace, "engines-by-task");
      await workbench.command("Tasks: Run Task");
      await workbench.page.getByRole("button", { name: "Trust Folder & Continue" }).click({ timeout: 60_000 });
      await runTask(workbench, "export emoji-xl");
      const written = () =>
        existsSync(bundles) ? readdirSync(bundles, { recursive: true }).find((name) => name.endsWith("engine.json")) : undefined;
      await until(() => written() !== undefined, EXPORT_LIMIT_MILLISECONDS, "The export by a task");
      return join(bundles, written(), "..");
    } finally {
      await workbench.screenshot("vsix");
      await workbench.close();
    }
  } finally {
    await browser.close();
    await server.stop();
  }
}

function drawPicture(extension, bundle, workspace) {
  const lora = join(workspace, "loras", "ink.safetensors");
  const output = join(workspace, "picture.png");
  const options = ["--prompt", "a red heart", "--steps", "2", "--seed", "1", "--lora", `${lora}:0.5`, "--output", output];
  const { images } = runCli(extension, "generate", bundle, ...options);
  assert.equal(images.length, 1);
  assert.equal(readFileSync(images[0]).subarray(1, 4).toString(), "PNG");
}

const counts = { passed: 0, failed: 0 };
async function test(name, body) {
  const start = Date.now();
  try {
    const result = await body();
    counts.passed++;
    console.log(`  ✓ ${name} (${Date.now() - start} ms)`);
    return result;
  } catch (error) {
    counts.failed++;
    console.log(`  ✗ ${name}\n${error.stack}`);
    return undefined;
  }
}

const tools = { server: setupServer(), chromium: setupChromium() };
const workspace = createWorkspace(join(root, "demo", "emoji-xl"));
try {
  const extension = await test("is packaged and installed", () => install(tools.server, packageVsix()));
  if (extension) {
    await test("holds what is needed and nothing else", () => checkFiles(extension));
    await test("finds its libraries", () => checkDoctor(extension));
    const bundle = await test("exports a checkpoint in the window", () => exportInWindow(tools, workspace.folder));
    if (bundle) await test("draws a picture", () => drawPicture(extension, bundle, workspace.folder));
  }
} finally {
  workspace.remove();
  rmSync(data, { recursive: true, force: true, maxRetries: 5 });
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed > 0 ? 1 : 0;
