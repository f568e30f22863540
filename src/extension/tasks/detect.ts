import { basename, relative, sep } from "node:path";
import type { ModelFile } from "../files.ts";
import { fits } from "../fit.ts";
import { isIn } from "../paths.ts";
import type { Stack } from "../stack/entries.ts";
import { TASK_TYPE, type TaskDefinition } from "./definition.ts";

/** A run that the workspace is ready for. Names are for a person, who is shown "export {0}" and the like in their language. */
export interface DetectedTask {
  readonly kind: "export" | "delta" | "generate" | "bench" | "bake" | "merge-loras";
  /** Of the files: the first is what the task is about. */
  readonly names: readonly string[];
  /** The workspace folder that it runs in, and that its paths are relative to. */
  readonly folder: string;
  readonly definition: TaskDefinition;
}

export interface Workspace {
  /** Paths of the workspace's folders. */
  readonly folders: readonly string[];
  readonly files: readonly ModelFile[];
  readonly stackOf: (engine: string) => Stack;
}

/** LoRAs that deltas are offered for, those changed last: nobody chooses from thousands, and tasks.json takes any. */
const MOST_LORAS = 50;

/** As tasks.json has it: relative to the folder where it lies in there, with "/". */
function written(folder: string, path: string): string {
  return isIn(folder, path) ? relative(folder, path).split(sep).join("/") : path;
}

const pathOf = ({ uri }: ModelFile): string => uri.fsPath;
const nameOf = (file: ModelFile): string => basename(pathOf(file));

/** What can be run with the files that are there: no export that was done, no delta that is there. */
export function detectTasks(workspace: Workspace): DetectedTask[] {
  const of = (kind: ModelFile["summary"]["kind"]): ModelFile[] => workspace.files.filter(({ summary }) => summary.kind === kind);
  const [engines, deltas] = [of("engine bundle"), of("delta")];
  const loras = of("lora")
    .toSorted((a, b) => b.modified - a.modified)
    .slice(0, MOST_LORAS);
  return [
    ...of("checkpoint")
      .filter((checkpoint) => !engines.some((engine) => isEngineOf(engine, checkpoint)))
      .flatMap((checkpoint) => exportOf(workspace, checkpoint)),
    ...engines.flatMap((engine) => [
      ...runsOf(workspace, engine),
      ...loras
        .filter((lora) => fits(lora, engine) !== false && !deltas.some((delta) => isDeltaOf(delta, lora, engine)))
        .flatMap((lora) => deltaOf(workspace, engine, lora)),
    ]),
  ];
}

function isEngineOf({ summary }: ModelFile, checkpoint: ModelFile): boolean {
  const from = summary.exportOptions?.checkpoint;
  return from === undefined ? summary.checkpoint === nameOf(checkpoint) : from === pathOf(checkpoint);
}

function isDeltaOf({ summary }: ModelFile, lora: ModelFile, engine: ModelFile): boolean {
  return summary.fingerprint === engine.summary.fingerprint && summary.loraFile === nameOf(lora);
}

/** A task of the folder that the file lies in; none of a file outside the workspace. */
function taskFor(
  { folders }: Workspace,
  file: ModelFile,
  kind: DetectedTask["kind"],
  names: readonly string[],
  options: (path: (absolute: string) => string) => Readonly<Record<string, unknown>>,
): DetectedTask[] {
  const folder = folders.find((each) => isIn(each, pathOf(file)));
  if (folder === undefined) return [];
  const definition = { type: TASK_TYPE, command: kind, ...options((path) => written(folder, path)) };
  return [{ kind, names, folder, definition }];
}

function exportOf(workspace: Workspace, checkpoint: ModelFile): DetectedTask[] {
  return taskFor(workspace, checkpoint, "export", [nameOf(checkpoint)], (path) => ({ checkpoint: path(pathOf(checkpoint)) }));
}

function deltaOf(workspace: Workspace, engine: ModelFile, lora: ModelFile): DetectedTask[] {
  return taskFor(workspace, engine, "delta", [nameOf(lora), nameOf(engine)], (path) => ({
    engine: path(pathOf(engine)),
    lora: path(pathOf(lora)),
  }));
}

/** Pictures and a benchmark of an engine, and its stack as a checkpoint or as one LoRA. */
function runsOf(workspace: Workspace, engine: ModelFile): DetectedTask[] {
  const names = [nameOf(engine)];
  const stack = workspace.stackOf(pathOf(engine)).filter(({ enabled }) => enabled);
  const withStack = (kind: "bake" | "merge-loras", options: (path: string) => Readonly<Record<string, unknown>>): DetectedTask[] =>
    taskFor(workspace, engine, kind, names, (path) => ({
      ...options(path(pathOf(engine))),
      lora: stack.map(({ enabled: _enabled, file, ...scales }) => ({ file: path(file), ...scales })),
    }));
  return [
    ...taskFor(workspace, engine, "generate", names, (path) => ({ engine: path(pathOf(engine)) })),
    ...taskFor(workspace, engine, "bench", names, (path) => ({ engine: path(pathOf(engine)) })),
    ...(stack.length === 0 ? [] : withStack("bake", (path) => ({ checkpoint: path, output: `${path}-baked.safetensors` }))),
    ...(stack.length < 2 ? [] : withStack("merge-loras", (path) => ({ output: `${path}-stack.safetensors` }))),
  ];
}
