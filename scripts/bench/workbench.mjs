/*
 * What a person waits for in the window: activation, the first tree, the inspector's first picture of a large delta and of a checkpoint,
 * frames while 10,000 layers scroll, memory. In the VS Code server and the Chromium of the tests, with bundles as they are packaged.
 *
 * usage: npm run bench:workbench -- [repeats]     Made files stay in .test/bench (171 MB, and a sparse checkpoint that takes no room).
 */
import { execFileSync } from "node:child_process";
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findWorkers } from "../../test/host/harness/processes.ts";
import { loraTensors, writeSafetensorsFile } from "../../test/host/harness/safetensors.ts";
import { startServer } from "../../test/host/harness/server.ts";
import { launchBrowser, Workbench } from "../../test/host/harness/workbench.ts";
import { createWorkspace } from "../../test/host/harness/workspace.ts";
import { setupChromium, setupServer } from "../setup-vscode.mjs";
import { median } from "./command-line.ts";

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");
const made = join(root, ".test", "bench");
const repeats = Number(process.argv[2] ?? 5);
const LAYERS = 10_000;
const DELTA = "sdxl-rank-32.trt_lora";
const CHECKPOINT = "sdxl.safetensors";
const MANY = "ten-thousand-layers.safetensors";
/** How long a window and the extensions of VS Code's own go on with their start. */
const QUIET_MILLISECONDS = 10_000;
/** Opens every model file in the inspector. */
const SETTINGS = { "workbench.editorAssociations": { "*.safetensors": "tensorrt.deltaEditor" } };

/** Results in the order they came, by what they are of. */
const results = new Map();

function note(what, value) {
  results.set(what, [...(results.get(what) ?? []), value]);
}

function makeFiles() {
  mkdirSync(made, { recursive: true });
  const run = (script, ...words) => execFileSync(process.execPath, [join(root, "scripts", script), ...words], { stdio: "inherit" });
  if (!existsSync(join(made, DELTA))) run("bench/make-lora.ts", join(made, DELTA));
  if (!existsSync(join(made, CHECKPOINT))) run("make-checkpoint.ts", "sdxl", join(made, CHECKPOINT), "--sparse");
  const modules = Array.from({ length: LAYERS }, (_, i) => `lora_unet_input_blocks_${i % 12}_1_transformer_blocks_${i}_attn1_to_q`);
  writeSafetensorsFile(join(made, MANY), loraTensors(modules));
  run("bundle.mjs", "--production");
}

/** Runs `body` in a window on a workspace of its own; nothing is kept from one to the next. */
async function inWindow(tools, body) {
  const workspace = createWorkspace(join(root, "demo", "emoji-xl"));
  for (const name of [DELTA, CHECKPOINT, MANY]) linkSync(join(made, name), join(workspace.folder, name));
  const data = join(root, ".test", `bench-data-${process.pid}-${Date.now()}`);
  const server = await startServer(tools.server, data, { installed: root, trusted: true, settings: SETTINGS });
  try {
    const workbench = await Workbench.open(tools.browser, { port: server.port, workspace: workspace.folder }, join(made, "screenshots"));
    await body(workbench, server.processId);
    await workbench.close();
  } finally {
    await server.stop();
    workspace.remove();
    rmSync(data, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Runs in a frame: when the inspector's map was drawn, in milliseconds since 1970; undefined where there is none. */
function paintTime() {
  if (!document.querySelector(".map-cell")) return undefined;
  // What was put in before a frame is painted by it.
  return new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve(performance.timeOrigin + performance.now()))));
}

/** The inspector's page once its map is drawn. */
async function untilPainted(page) {
  for (const end = Date.now() + 60_000; Date.now() < end; await page.waitForTimeout(10)) {
    for (const frame of page.frames()) {
      const time = await frame.evaluate(paintTime).catch(() => undefined);
      if (time !== undefined) return { frame, time };
    }
  }
  throw new Error("The inspector showed nothing within 60 s.");
}

/** Opens a file from quick open; gives its page and how long its first picture took from the key on. */
async function inspect(workbench, file) {
  await workbench.page.keyboard.press("Control+p");
  await workbench.quickInput().fill(file);
  await workbench.quickPickRow(file).first().waitFor();
  // The list of results settles.
  await workbench.page.waitForTimeout(500);
  const start = Date.now();
  await workbench.page.keyboard.press("Enter");
  const { frame, time } = await untilPainted(workbench.page);
  return { frame, painted: time - start };
}

/** Activation is what VS Code itself gives: loading the code, and the call. */
async function measureStart(workbench) {
  await workbench.page.waitForTimeout(QUIET_MILLISECONDS);
  const start = Date.now();
  await workbench.openContainer();
  await workbench.treeRow("loras").first().waitFor({ timeout: 60_000 });
  note("first tree, from the click on the view container, ms", Date.now() - start);
  await workbench.treeRow("rank 8").first().waitFor({ timeout: 60_000 });
  await workbench.command("Developer: Show Running Extensions");
  const list = workbench.page.locator(".runtime-extensions-editor .monaco-list-row");
  await list.first().hover();
  const own = list.filter({ hasText: "TensorRT Redux" });
  // The slowest come first, and only those that are seen are there.
  for (let turn = 0; turn < 20 && (await own.count()) === 0; turn++) {
    await workbench.page.mouse.wheel(0, 300);
    await workbench.page.waitForTimeout(200);
  }
  note("activation, ms", Number(/(\d+)\s*ms/.exec(await own.locator(".activation-time").innerText())?.[1]));
  await workbench.page.keyboard.press("Escape");
}

async function measureFiles(workbench, server) {
  const delta = await inspect(workbench, DELTA);
  note("first picture of a delta of 722 layers (171 MB), ms", delta.painted);
  const start = Date.now();
  await untilComputed(delta.frame);
  note("its numbers, after that, s", (Date.now() - start) / 1000);
  note("memory of the worker then, MB", workerMemory(server));
  await workbench.command("View: Close All Editors");
  const again = await inspect(workbench, DELTA);
  note("first picture of the same delta again, ms", again.painted);
  await workbench.command("View: Close All Editors");
  note("first picture of a checkpoint (6.9 GB), ms", (await inspect(workbench, CHECKPOINT)).painted);
  await workbench.command("View: Close All Editors");
}

async function measureScrolling(workbench, server) {
  const { frame } = await inspect(workbench, MANY);
  await untilComputed(frame);
  await frame.locator("#tab-layers").click();
  await frame.locator(".grid-row").first().waitFor();
  note("frame at rest, mean, ms", mean(await frameTimes(frame, false)));
  const frames = await frameTimes(frame, true);
  note("frame while 10,000 layers scroll, mean, ms", mean(frames));
  note("frame while 10,000 layers scroll, 95th percentile, ms", frames.toSorted((a, b) => a - b)[Math.floor(frames.length * 0.95)]);
  const heap = await frame.evaluate(() => performance.memory.usedJSHeapSize);
  note("JavaScript heap of the webview's process, MB", heap / 1e6);
  note("memory of the worker at the end, MB", workerMemory(server));
}

async function untilComputed(frame) {
  await frame.locator(".progress button", { hasText: "Stop" }).waitFor({ state: "detached", timeout: 300_000 });
}

/** Milliseconds between frames, at rest or while the grid is scrolled from its beginning to its end in 120 steps. */
function frameTimes(frame, isScrolled) {
  return frame.locator(".grid-viewport").evaluate(
    (viewport, scrolled) =>
      new Promise((resolve) => {
        const times = [];
        const step = (time) => {
          times.push(time);
          if (scrolled) viewport.scrollTop += viewport.scrollHeight / 120;
          if (times.length < 120) requestAnimationFrame(step);
          else resolve(times.slice(1).map((each, index) => each - times[index]));
        };
        requestAnimationFrame(step);
      }),
    isScrolled,
  );
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function workerMemory(server) {
  const [worker] = findWorkers(server);
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${worker.id}/status`, "utf8"))?.[1]) / 1000;
}

makeFiles();
const browser = await launchBrowser(setupChromium());
const tools = { server: setupServer(), browser };
try {
  for (let run = 0; run < repeats; run++) {
    note("load average before the run", loadavg()[0]);
    await inWindow(tools, async (workbench, server) => {
      await measureStart(workbench);
      await measureFiles(workbench, server);
      await measureScrolling(workbench, server);
    });
  }
} finally {
  await browser.close();
}
console.log("| what | best | median |\n| --- | --- | --- |");
for (const [what, values] of results) console.log(`| ${what} | ${Math.min(...values).toFixed(1)} | ${median(values).toFixed(1)} |`);
