import { basename } from "node:path";
import * as vscode from "vscode";
import type { Commands, EntryArguments, StackArguments, StackResult } from "../contributions.ts";
import { type EntryChange, type Stack, moved, steppedScale, withChanges, withEntry, without } from "../stack/entries.ts";
import { formatScale } from "../views/texts.ts";
import { isOptions, selectedPaths, toPath } from "./arguments.ts";
import { pickFiles } from "./pick.ts";
import type { Services } from "./services.ts";
import { askEngine, loraGroups } from "./suggest.ts";
import { askScale } from "./scale.ts";

/** The engine a program means. */
export function engineOf({ stacks }: Services, { engine }: StackArguments): string {
  const path = engine === undefined ? stacks.engine : toPath(engine);
  if (path === undefined) throw new Error(vscode.l10n.t("No engine is loaded. Load one, or give the engine."));
  return path;
}

async function change(services: Services, engine: string, edit: (stack: Stack) => Stack): Promise<StackResult> {
  const applied = await services.stacks.change(engine, edit);
  return { engine, stack: services.stacks.of(engine), ...(applied && { applied }) };
}

/** Puts files on the stack; those that it did not hold and that cannot be applied are taken off again. */
async function add(services: Services, engine: string, files: readonly string[], entry: EntryChange): Promise<StackResult> {
  const held = new Set(services.stacks.of(engine).map(({ file }) => file));
  try {
    return await change(services, engine, (stack) => files.reduce((result, file) => withEntry(result, file, entry), stack));
  } catch (error) {
    const added = files.filter((file) => !held.has(file));
    // Its own failure says nothing new.
    await change(services, engine, (stack) => without(stack, added)).catch(() => {});
    throw error;
  }
}

/** The engine whose stack a person means: the one shown, else one that is then loaded. */
async function askLoadedEngine({ files, jobs, stacks }: Services, title: string): Promise<string | undefined> {
  if (stacks.engine !== undefined) return stacks.engine;
  const engine = await askEngine(files, title, []);
  if (engine === undefined) return undefined;
  return (await jobs.loadEngine(engine, vscode.ProgressLocation.Notification)).path;
}

/** Files of the stack that a person means: the rows they started from or have selected, else the ones they pick. */
async function askEntries(services: Services, title: string, engine: string, selected: readonly string[]): Promise<readonly string[]> {
  const stack = services.stacks.of(engine);
  const held = selected.filter((path) => stack.some(({ file }) => file === path));
  if (held.length > 0) return held;
  const items = stack.map(({ file, scale }) => ({ label: basename(file), description: `× ${formatScale(scale)}`, file }));
  const placeHolder = items.length === 0 ? vscode.l10n.t("The stack is empty") : vscode.l10n.t("The LoRA of the stack");
  const chosen = await vscode.window.showQuickPick(items, { title, placeHolder });
  return chosen ? [chosen.file] : [];
}

/** LoRAs and deltas onto the stack of an engine. */
export function addToStack(services: Services): Commands["tensorrt.addToStack"] {
  const { files, jobs } = services;
  return async (argument, selected) => {
    if (isOptions<EntryArguments & EntryChange>(argument, "file")) {
      const { file, engine, ...entry } = argument;
      return add(services, engineOf(services, engine === undefined ? {} : { engine }), [toPath(file)], entry);
    }
    return jobs.interactively(async () => {
      const title = vscode.l10n.t("Add to Stack");
      const engine = await askLoadedEngine(services, title);
      if (engine === undefined) return undefined;
      let chosen: readonly string[] | undefined = selectedPaths(argument, selected);
      if (chosen.length === 0) {
        await files.ready();
        chosen = await pickFiles(title, vscode.l10n.t("LoRAs to put on the stack"), loraGroups(files, engine, true));
      }
      return chosen && chosen.length > 0 ? add(services, engine, chosen, {}) : undefined;
    });
  };
}

/** LoRAs and deltas off the stack. */
export function removeFromStack(services: Services): Commands["tensorrt.removeFromStack"] {
  return async (argument, selected) => {
    if (isOptions<EntryArguments>(argument, "file")) {
      return change(services, engineOf(services, argument), (stack) => without(stack, [toPath(argument.file)]));
    }
    return services.jobs.interactively(async () => {
      const { engine } = services.stacks;
      if (engine === undefined) return undefined;
      const files = await askEntries(services, vscode.l10n.t("Remove from Stack"), engine, services.selectedEntries(argument, selected));
      return files.length === 0 ? undefined : change(services, engine, (stack) => without(stack, files));
    });
  };
}

/** The scale of LoRAs of the stack: as given, asked for, or a step up or down from what it is. */
export function setScale(services: Services): Commands["tensorrt.setScale"] {
  return async (argument, selected) => {
    if (isOptions<EntryArguments & EntryChange & { scale: number }>(argument, "scale")) {
      const { file, engine, ...entry } = argument;
      const target = engineOf(services, engine === undefined ? {} : { engine });
      return change(services, target, (stack) => withChanges(stack, [toPath(file)], entry));
    }
    return services.jobs.interactively(async () => {
      const { engine } = services.stacks;
      if (engine === undefined) return undefined;
      if (isOptions<{ step: number }>(argument, "step")) return stepScale(services, engine, argument.step);
      const title = vscode.l10n.t("Set Scale");
      const files = await askEntries(services, title, engine, services.selectedEntries(argument, selected));
      const first = services.stacks.of(engine).find(({ file }) => file === files[0]);
      if (!first) return undefined;
      const scale = await askScale(title, files, first.scale);
      return scale === undefined ? undefined : change(services, engine, (stack) => withChanges(stack, files, { scale }));
    });
  };
}

async function stepScale(services: Services, engine: string, step: number): Promise<StackResult | undefined> {
  const files = services.selectedEntries(undefined, undefined);
  if (files.length === 0) return undefined;
  return change(services, engine, (stack) =>
    stack.map((entry) => (files.includes(entry.file) ? { ...entry, scale: steppedScale(entry.scale, step) } : entry)),
  );
}

/** Switches the selected LoRAs off, or on where all of them are off. */
export function toggleInStack(services: Services): Commands["tensorrt.toggleInStack"] {
  return (argument, selected) =>
    services.jobs.interactively(async () => {
      const { engine } = services.stacks;
      const files = services.selectedEntries(argument, selected);
      if (engine === undefined || files.length === 0) return undefined;
      return change(services, engine, (stack) => {
        const isOn = stack.some((entry) => files.includes(entry.file) && entry.enabled);
        return withChanges(stack, files, { enabled: !isOn });
      });
    });
}

/** Moves the selected LoRAs up (-1) or down (1), by keys. */
export function moveInStack(services: Services): Commands["tensorrt.moveInStack"] {
  return ({ by }) =>
    services.jobs.interactively(async () => {
      const { engine } = services.stacks;
      const files = services.selectedEntries(undefined, undefined);
      if (engine === undefined || files.length === 0) return undefined;
      return change(services, engine, (stack) => {
        const places = stack.flatMap(({ file }, index) => (files.includes(file) ? [index] : []));
        // Up: before the one above the first. Down: before the second below the last.
        const target = by < 0 ? Math.max(0, places[0]! - 1) : places.at(-1)! + 2;
        return moved(stack, files, stack[target]?.file);
      });
    });
}

/** Back to the base. */
export function clearStack(services: Services): Commands["tensorrt.clearStack"] {
  return async (argument) => {
    if (isOptions<StackArguments>(argument, "engine")) return change(services, engineOf(services, argument), () => []);
    return services.jobs.interactively(async () => {
      const { engine } = services.stacks;
      return engine === undefined ? undefined : change(services, engine, () => []);
    });
  };
}

/** Which of several loaded engines the stack view shows. */
export function chooseEngine({ files, stacks }: Services): Commands["tensorrt.chooseEngine"] {
  return async (argument) => {
    if (isOptions<Required<StackArguments>>(argument, "engine")) return stacks.choose(toPath(argument.engine));
    const items = stacks.engines.map((path) => ({
      label: basename(path),
      description: path === stacks.engine ? vscode.l10n.t("shown now") : "",
      detail: files.get(path)?.summary.architectureLabel ?? path,
      path,
    }));
    const title = vscode.l10n.t("Choose Engine of the Stack");
    const placeHolder = items.length === 0 ? vscode.l10n.t("No engine is loaded") : vscode.l10n.t("The loaded engine");
    const chosen = await vscode.window.showQuickPick(items, { title, placeHolder });
    if (chosen) await stacks.choose(chosen.path);
  };
}
