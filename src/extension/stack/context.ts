import type * as vscode from "vscode";
import { setContext } from "../contributions.ts";
import type { Stacks } from "./stacks.ts";

/** Keeps the context keys that menus and welcome texts of the stack ask about. */
export function trackStacks(stacks: Stacks): vscode.Disposable {
  const update = (): void => {
    const { engine, engines } = stacks;
    setContext("tensorrt.engineLoaded", engine !== undefined);
    setContext("tensorrt.severalEnginesLoaded", engines.length > 1);
    setContext("tensorrt.stackInUse", engine !== undefined && stacks.of(engine).length > 0);
  };
  update();
  return stacks.onDidChange(update);
}
