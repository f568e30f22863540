import { basename } from "node:path";
import * as vscode from "vscode";
import type { StackItem } from "../../worker/protocol.ts";
import type { Commands, EntryArguments, LoraReference, StackArguments } from "../contributions.ts";
import type { ComparisonPanels } from "../inspector/comparison.ts";
import { type EntryChange, type Stack, isSameStack, withEntry } from "../stack/entries.ts";
import type { FileNode } from "../views/nodes.ts";
import type { StackNode } from "../views/stackNodes.ts";
import { defined, isOptions, selectedPath, selectedPaths, toPath } from "./arguments.ts";
import type { Services } from "./services.ts";
import { engineOf } from "./stack.ts";
import { askEngine } from "./suggest.ts";

/** What is compared: a stack with the one that the engine has in memory. Where that is the same, or none is, with the base. */
interface Preview {
  readonly a: LoraReference[];
  readonly b: LoraReference[];
  readonly base: string;
}

function switchedOn<Item extends StackItem>(stack: readonly Item[]): Item[] {
  return stack.filter(({ enabled }) => enabled !== false);
}

function references(stack: readonly StackItem[]): LoraReference[] {
  return stack.map(({ enabled: _enabled, ...reference }) => defined(reference));
}

/** @throws Error where no LoRA of the stack is switched on */
function previewOf({ worker }: Services, engine: string, stack: Stack): Preview {
  const wanted = switchedOn(stack);
  if (wanted.length === 0) {
    throw new Error(vscode.l10n.t("No LoRA is switched on in the stack of {0}: it changes nothing.", basename(engine)));
  }
  const held = switchedOn(worker.loadedEngines.find(({ path }) => path === engine)?.stack ?? []);
  return { a: references(wanted), b: isSameStack(held, wanted) ? [] : references(held), base: engine };
}

/** What the stack of an engine would change, before it is applied; for a program the numbers alone. */
export function previewStack(services: Services, panels: ComparisonPanels): Commands["tensorrt.previewStack"] {
  const { files, jobs, stacks } = services;
  return async (argument) => {
    const isRow = isOptions<FileNode>(argument, "uri");
    if (!isRow && isOptions<StackArguments>(argument, "engine")) {
      const engine = engineOf(services, argument);
      return jobs.run("compare", previewOf(services, engine, stacks.of(engine)));
    }
    return jobs.interactively(async () => {
      const own = isOptions<StackNode>(argument, "engine") ? argument.engine : selectedPath(argument);
      const engine = own ?? stacks.engine ?? (await askEngine(files, vscode.l10n.t("What Would This Stack Change?"), []));
      if (engine !== undefined) panels.show(previewOf(services, engine, stacks.of(engine)));
      return undefined;
    });
  };
}

/** What LoRAs and deltas would change if they were put on the stack as well. */
export function previewInStack(services: Services, panels: ComparisonPanels): Commands["tensorrt.previewInStack"] {
  const { files, jobs, stacks } = services;
  const preview = (engine: string, paths: readonly string[], entry: EntryChange): Preview =>
    previewOf(
      services,
      engine,
      paths.reduce<Stack>((stack, path) => withEntry(stack, path, entry), stacks.of(engine)),
    );
  return async (argument, selected) => {
    if (isOptions<EntryArguments & EntryChange>(argument, "file")) {
      const { file, engine, ...entry } = argument;
      const target = engineOf(services, engine === undefined ? {} : { engine });
      return jobs.run("compare", preview(target, [toPath(file)], entry));
    }
    return jobs.interactively(async () => {
      const engine = stacks.engine ?? (await askEngine(files, vscode.l10n.t("What Would This Change in the Stack?"), []));
      if (engine !== undefined) panels.show(preview(engine, selectedPaths(argument, selected), {}));
      return undefined;
    });
  };
}
