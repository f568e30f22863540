import assert from "node:assert/strict";
import * as vscode from "vscode";
import type { CommandId, ContextKeys, ViewItem } from "../../../src/extension/contributions.ts";
import { extension } from "../harness/inside.ts";
import { test } from "../harness/runner.ts";

interface Clause {
  readonly command?: string;
  readonly when?: string;
}

/** Commands mean the selected rows: where there are not several, a key selects the focused row first. */
interface Keybinding extends Clause {
  readonly key: string;
  readonly args?: { readonly commands?: readonly (string | Clause)[] };
}

interface Manifest {
  readonly contributes: {
    readonly commands: readonly { readonly command: string }[];
    readonly menus: Readonly<Record<string, readonly Clause[]>>;
    readonly views: Readonly<Record<string, readonly { readonly id: string }[]>>;
    readonly keybindings: readonly Keybinding[];
    readonly viewsWelcome: readonly (Clause & { readonly view: string; readonly contents: string })[];
    readonly walkthroughs: readonly {
      readonly steps: readonly { readonly description: string; readonly completionEvents: readonly string[] }[];
    }[];
    readonly configuration: readonly { readonly properties: Readonly<Record<string, { readonly default: unknown }>> }[];
  };
}

/** Context keys of VS Code itself. */
const VSCODE_KEYS = [
  "false",
  "focusedView",
  "inputFocus",
  "isWorkspaceTrusted",
  "listFocus",
  "listMultiSelection",
  "resourceExtname",
  "resourceFilename",
  "view",
  "viewItem",
  "workbenchState",
];
/** Those that the extension sets: one that is not named here does not compile. */
const OWN_KEYS: Readonly<Record<keyof ContextKeys, true>> = {
  "tensorrt.engineLoaded": true,
  "tensorrt.severalEnginesLoaded": true,
  "tensorrt.stackInUse": true,
};
const VIEW_ITEMS: Readonly<Record<ViewItem, true>> = {
  engine: true,
  "engine.loaded": true,
  "engine.unusable": true,
  component: true,
  delta: true,
  "delta.version1": true,
  lora: true,
  folder: true,
  stackEntry: true,
};
/** Commands that mean nothing without what they are started on. */
const NOT_IN_PALETTE = ["tensorrt.delete", "tensorrt.moveInStack", "tensorrt.previewInStack", "tensorrt.reveal", "tensorrt.toggleInStack"];

function contributes(): Manifest["contributes"] {
  return (extension().packageJSON as Manifest).contributes;
}

test("every contributed command is registered and the other way round", async () => {
  await extension().activate();
  const views = Object.values(contributes().views).flatMap((list) => list.map(({ id }) => id));
  const registered = (await vscode.commands.getCommands(true)).filter(
    // VS Code makes commands such as "tensorrt.engines.focus" for each view.
    (id) => id.startsWith("tensorrt.") && !views.some((view) => id.startsWith(`${view}.`)),
  );
  assert.deepEqual(
    registered.toSorted(),
    contributes()
      .commands.map(({ command }) => command)
      .toSorted(),
  );
});

test("when clauses name known context keys, views and rows alone", () => {
  const { keybindings, menus, viewsWelcome, views } = contributes();
  const keys = [...VSCODE_KEYS, ...Object.keys(OWN_KEYS)];
  const items = Object.keys(VIEW_ITEMS);
  const ids = Object.values(views).flatMap((list) => list.map(({ id }) => id));
  const clauses = [...Object.values(menus).flat(), ...viewsWelcome, ...keybindings].flatMap(({ when }) =>
    when === undefined ? [] : [when],
  );
  assert.ok(clauses.length > 0);
  for (const clause of clauses) {
    for (const term of clause.split(/&&|\|\|/)) {
      const parts = /^\s*!?([\w.]+)\s*(?:(==|!=|=~)\s*(.+?))?\s*$/.exec(term);
      assert.ok(parts, `cannot read "${term}"`);
      const [, key = "", operator, value = ""] = parts;
      assert.ok(keys.includes(key), `unknown key "${key}" in "${clause}"`);
      if (key === "view" || key === "focusedView") assert.ok(ids.includes(value), `unknown view in "${clause}"`);
      if (key === "viewItem" && operator === "==") assert.ok(items.includes(value), `unknown row in "${clause}"`);
      if (operator === "=~" && key === "viewItem") {
        const pattern = new RegExp(value.slice(1, -1));
        assert.ok(
          items.some((item) => pattern.test(item)),
          `"${clause}" matches no row`,
        );
      }
    }
  }
});

test("commands that ask for nothing by themselves are not in the palette", () => {
  const { commandPalette = [] } = contributes().menus;
  const hidden = commandPalette.filter(({ when }) => when === "false").map(({ command }) => command as CommandId);
  assert.deepEqual(hidden.toSorted(), NOT_IN_PALETTE);
});

test("commands of menus, keys, welcome texts and the walkthrough exist", async () => {
  await extension().activate();
  const known = new Set(await vscode.commands.getCommands(true));
  const { menus, keybindings, viewsWelcome, walkthroughs } = contributes();
  const steps = walkthroughs.flatMap((walkthrough) => walkthrough.steps);
  const keyed = keybindings.flatMap(({ command, args }) => [{ command }, ...(args?.commands ?? [])]);
  const clauses = [...Object.values(menus).flat(), ...keyed];
  const named = clauses.map((clause) => (typeof clause === "string" ? clause : clause.command));
  const texts = [...viewsWelcome.map(({ contents }) => contents), ...steps.map(({ description }) => description)];
  const links = texts.flatMap((text) => Array.from(text.matchAll(/\(command:([\w.]+)/g), ([, command]) => command));
  assert.ok(links.length >= steps.length);
  const events = steps.flatMap(({ completionEvents }) => completionEvents.map((event) => event.split(":", 2) as [string, string]));
  const awaited = events.flatMap(([event, command]) => (event === "onCommand" ? [command] : []));
  for (const [event, key] of events) if (event === "onContext") assert.ok(Object.hasOwn(OWN_KEYS, key), key);
  for (const command of [...named, ...links, ...awaited]) assert.ok(command !== undefined && known.has(command), command);
});

test("each key of the stack does with one row what it does with several", () => {
  const { keybindings } = contributes();
  const one = keybindings.filter(({ args }) => args?.commands);
  const several = keybindings.filter(({ args }) => !args?.commands);
  const commands = (bindings: readonly Keybinding[]) =>
    Object.fromEntries(bindings.map(({ key, command, args }) => [key, args?.commands?.[1] ?? (args ? { command, args } : command)]));
  assert.ok(one.length > 0);
  assert.deepEqual(commands(one), commands(several));
  for (const { when } of several) assert.match(when!, / listMultiSelection$/);
  for (const { args, when } of one) {
    assert.equal(args?.commands?.[0], "list.select");
    assert.match(when!, / !listMultiSelection$/);
  }
});

test("settings have the defaults of package.json", () => {
  const configuration = vscode.workspace.getConfiguration();
  for (const [name, { default: expected }] of contributes().configuration.flatMap(({ properties }) => Object.entries(properties))) {
    assert.deepEqual(configuration.get(name), expected, name);
  }
});
