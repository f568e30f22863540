import { execFileSync } from "node:child_process";
import { copyFileSync, linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TestWorkspace {
  readonly folder: string;
  remove(): void;
}

/** Tasks as a person would write them; one fails, for the problem matcher, some take too long to wait for. */
const TASKS = {
  version: "2.0.0",
  tasks: [
    {
      label: "export emoji-xl",
      type: "tensorrt",
      command: "export",
      checkpoint: "models/emoji-xl.safetensors",
      output: "engines-by-task",
      problemMatcher: ["$tensorrt"],
    },
    {
      label: "export a broken file",
      type: "tensorrt",
      command: "export",
      checkpoint: "${workspaceFolder}/models/broken.safetensors",
      problemMatcher: ["$tensorrt"],
    },
    {
      label: "generate for minutes",
      type: "tensorrt",
      command: "generate",
      engine: "engines-by-task",
      prompt: "ball",
      steps: 5_000,
      output: "never.png",
      problemMatcher: ["$tensorrt"],
    },
    {
      label: "grid for minutes",
      type: "tensorrt",
      command: "grid",
      engine: "engines-by-task",
      prompt: "ball",
      x: "steps=5000,5001",
      output: "never.png",
      problemMatcher: ["$tensorrt"],
    },
    {
      label: "bench for minutes",
      type: "tensorrt",
      command: "bench",
      engine: "engines-by-task",
      steps: 50_000,
      problemMatcher: ["$tensorrt"],
    },
  ],
};

/** A temporary workspace with the demo's checkpoint and LoRAs, a broken checkpoint and a tasks.json. */
export function createWorkspace(demoFolder: string): TestWorkspace {
  const folder = mkdtempSync(join(tmpdir(), "tensorrt-host-"));
  for (const name of ["models", "loras", ".vscode"]) mkdirSync(join(folder, name));
  copyFileSync(join(demoFolder, "emoji-xl.safetensors"), join(folder, "models", "emoji-xl.safetensors"));
  for (const name of ["ink.safetensors", "opposite-hue.safetensors"]) copyFileSync(join(demoFolder, name), join(folder, "loras", name));
  // A header that says it is longer than the file.
  writeFileSync(join(folder, "models", "broken.safetensors"), Buffer.from([255, 255, 0, 0, 0, 0, 0, 0, 123]));
  writeFileSync(join(folder, ".vscode", "tasks.json"), JSON.stringify(TASKS, undefined, 2));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Exports the demo's engine into a workspace, as the command line does. */
export function exportDemoEngine(workspace: string, name = "emoji-xl"): void {
  const script = join(import.meta.dirname, "..", "..", "..", "dist", "cli.js");
  const checkpoint = join(workspace, "models", "emoji-xl.safetensors");
  execFileSync(process.execPath, [script, "export", checkpoint, "-o", join(workspace, "engines", name)], { stdio: "pipe" });
}

/** Fills a folder of the workspace with LoRAs under many names: links of one file, so that they take no room. */
export function addManyLoras(workspace: string, folder: string, count: number): void {
  mkdirSync(join(workspace, folder), { recursive: true });
  const source = join(workspace, "loras", "ink.safetensors");
  for (let index = 0; index < count; index++) {
    linkSync(source, join(workspace, folder, `style-${String(index).padStart(4, "0")}.safetensors`));
  }
}
