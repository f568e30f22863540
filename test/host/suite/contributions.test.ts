import assert from "node:assert/strict";
import * as vscode from "vscode";
import { extension } from "../harness/inside.ts";
import { test } from "../harness/runner.ts";

interface Clause {
  readonly command?: string;
  readonly when?: string;
}

interface Manifest {
  readonly contributes: {
    readonly commands: readonly { readonly command: string }[];
    readonly menus: Readonly<Record<string, readonly Clause[]>>;
    readonly views: Readonly<Record<string, readonly { readonly id: string }[]>>;
    readonly viewsWelcome: readonly (Clause & { readonly view: string })[];
    readonly configuration: { readonly properties: Readonly<Record<string, { readonly default: unknown }>> };
  };
}

/** Context keys of VS Code itself; the extension sets none. */
const KNOWN_KEYS = ["isWorkspaceTrusted", "resourceExtname", "resourceFilename", "view", "viewItem", "workbenchState"];
/** Values of `viewItem`, as views/nodes.ts gives them. */
const VIEW_ITEMS = ["engine", "engine.loaded", "component", "delta", "lora", "loraFolder"];

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
  const { menus, viewsWelcome, views } = contributes();
  const ids = Object.values(views).flatMap((list) => list.map(({ id }) => id));
  const clauses = [...Object.values(menus).flat(), ...viewsWelcome].flatMap(({ when }) => (when === undefined ? [] : [when]));
  assert.ok(clauses.length > 0);
  for (const clause of clauses) {
    for (const term of clause.split(/&&|\|\|/)) {
      const parts = /^\s*!?([\w.]+)\s*(?:(==|!=|=~)\s*(.+?))?\s*$/.exec(term);
      assert.ok(parts, `cannot read "${term}"`);
      const [, key = "", operator, value = ""] = parts;
      assert.ok(KNOWN_KEYS.includes(key), `unknown key "${key}" in "${clause}"`);
      if (key === "view") assert.ok(ids.includes(value), `unknown view in "${clause}"`);
      if (key === "viewItem" && operator === "==") assert.ok(VIEW_ITEMS.includes(value), `unknown row in "${clause}"`);
      if (operator === "=~" && key === "viewItem") {
        const pattern = new RegExp(value.slice(1, -1));
        assert.ok(
          VIEW_ITEMS.some((item) => pattern.test(item)),
          `"${clause}" matches no row`,
        );
      }
    }
  }
});

test("commands of menus and welcome texts exist", async () => {
  const known = new Set(await vscode.commands.getCommands(true));
  for (const { command } of Object.values(contributes().menus).flat()) assert.ok(command !== undefined && known.has(command), command);
});

test("settings have the defaults of package.json", () => {
  const configuration = vscode.workspace.getConfiguration();
  for (const [name, { default: expected }] of Object.entries(contributes().configuration.properties)) {
    assert.deepEqual(configuration.get(name), expected, name);
  }
});
