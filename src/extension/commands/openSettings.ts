import * as vscode from "vscode";
import type { Commands } from "../contributions.ts";

/** Everything of the extension, as the settings editor's search knows it. */
const ALL = "@ext:tensorrt-redux.tensorrt-redux";

/**
 * The settings editor at a setting. Those that name places belong to the machine that the files are on: where that is another one
 * than the window's, the editor's first tab does not have them.
 */
export function openSettings(): Commands["tensorrt.openSettings"] {
  return async (query) => {
    const command = vscode.env.remoteName === undefined ? "workbench.action.openSettings" : "workbench.action.openRemoteSettings";
    // A menu gives what it was opened on.
    await vscode.commands.executeCommand(command, { query: typeof query === "string" ? query : ALL });
  };
}
