/*
 * Makes the VSIX, installs it into a real VS Code and uses it once: the checkpoint of the demo is exported by a task in the window, which
 * then shows the engine and the inside of a LoRA and draws a picture; the installed command line draws another. Nothing of the
 * repository is in reach of what is tested but the demo's files.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { differences } from "./package/contents.ts";
import { HOST, TENSORRT_ADD_ONS } from "./package/targets.ts";
import { setupChromium, setupServer } from "./setup-vscode.mjs";
import { webviewFrame } from "../test/host/harness/accessibility.ts";
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
  assert.doesNotMatch(output, /warn/i, "vsce has something to say.");
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

/** What is installed is what scripts/package.mjs has checked; vsce renames three files. */
function checkFiles(extension) {
  const entries = readdirSync(extension, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map(({ name, parentPath }) => relative(extension, join(parentPath, name)).replaceAll("\\", "/"));
  const given = { "readme.md": "README.md", "changelog.md": "CHANGELOG.md", "LICENSE.txt": "LICENSE" };
  const files = paths.filter((path) => path !== ".vsixmanifest").map((path) => given[path] ?? path);
  const hasTensorRt = TENSORRT_ADD_ONS.some((name) => files.includes(`build/Release/${name}`));
  assert.deepEqual(differences(HOST, hasTensorRt, files), []);
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

/** A window with the installed extension, in a folder that is not trusted yet. */
async function inWindow(tools, workspace, body) {
  const server = await startServer(tools.server, data, { trusted: false });
  const browser = await launchBrowser(tools.chromium);
  try {
    const workbench = await Workbench.open(browser, { port: server.port, workspace }, screenshots);
    try {
      await body(workbench);
    } finally {
      await workbench.screenshot("vsix-end");
      await workbench.close();
    }
  } finally {
    await browser.close();
    await server.stop();
  }
}

/** Exports the demo's checkpoint by a task of the workspace. */
async function exportByTask(workbench, bundle) {
  await workbench.command("Tasks: Run Task");
  await workbench.page.getByRole("button", { name: "Trust Folder & Continue" }).click({ timeout: 60_000 });
  await runTask(workbench, "export emoji-xl");
  await until(() => existsSync(join(bundle, "engine.json")), EXPORT_LIMIT_MILLISECONDS, "The export by a task");
}

async function lookAtViews(workbench) {
  await workbench.openContainer();
  await workbench.treeRow("engines-by-task").waitFor({ timeout: 60_000 });
  await workbench.treeRow("opposite-hue.safetensors").waitFor({ timeout: 60_000 });
  await workbench.screenshot("vsix-views");
}

async function lookInside(workbench) {
  await workbench.contextMenu(workbench.treeRow("ink.safetensors"), "Inspect");
  const frame = await webviewFrame(workbench, "inspector");
  await frame.locator(".map-cell").first().waitFor({ timeout: 60_000 });
  await workbench.screenshot("vsix-inspector");
}

async function drawInWindow(workbench, workspace) {
  await workbench.command("TensorRT: Generate Image…");
  await workbench.pick("Generate Image", "engines-by-task");
  await workbench.check("Generate Image", "ink.safetensors");
  await workbench.page.keyboard.press("Enter");
  await workbench.type("The scale of ink", "0.7");
  await workbench.type("The prompt", "red apple");
  await workbench.tab(".png").waitFor({ timeout: 120_000 });
  await workbench.pictureShown();
  await workbench.screenshot("vsix-picture");
  assert.equal(readdirSync(join(workspace, "images")).length, 1);
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
    const bundle = join(workspace.folder, "engines-by-task");
    await inWindow(tools, workspace.folder, async (workbench) => {
      await test("exports a checkpoint by a task", () => exportByTask(workbench, bundle));
      await test("shows engines, deltas and LoRAs", () => lookAtViews(workbench));
      await test("draws a picture in the window", () => drawInWindow(workbench, workspace.folder));
      await test("shows the inside of a LoRA", () => lookInside(workbench));
    });
    await test("draws a picture by the command line", () => drawPicture(extension, bundle, workspace.folder));
  }
} finally {
  workspace.remove();
  rmSync(data, { recursive: true, force: true, maxRetries: 5 });
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed > 0 ? 1 : 0;
