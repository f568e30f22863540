import { join } from "node:path";
import * as vscode from "vscode";
import type { Jobs } from "../../../src/worker/protocol.ts";

/* What tests inside the extension host share. */

export const EXTENSION_ID = "tensorrt-redux.tensorrt-redux";

export function extension(): vscode.Extension<unknown> {
  const found = vscode.extensions.getExtension(EXTENSION_ID);
  if (!found) throw new Error(`${EXTENSION_ID} is not installed`);
  return found;
}

/** A path in the opened workspace. */
export function inWorkspace(...parts: string[]): string {
  const folder = vscode.workspace.workspaceFolders?.[0];
  if (!folder) throw new Error("no workspace is open");
  return join(folder.uri.fsPath, ...parts);
}

/** A log that nobody reads: VS Code gives one of the extension's own name to all who ask, and closes it for all. */
export function silentLog(): vscode.LogOutputChannel {
  const silent = (): void => {};
  return { info: silent, warn: silent, error: silent } as Partial<vscode.LogOutputChannel> as vscode.LogOutputChannel;
}

let exported: Promise<Jobs["export"]["result"]> | undefined;

/** The demo's engine, exported once for all tests. */
export function demoEngine(): Promise<Jobs["export"]["result"]> {
  exported ??= Promise.resolve(
    vscode.commands.executeCommand<Jobs["export"]["result"]>("tensorrt.exportEngine", {
      checkpoint: vscode.Uri.file(inWorkspace("models", "emoji-xl.safetensors")),
      output: inWorkspace("engines", "emoji-xl"),
    }),
  );
  return exported;
}

/** Runs `body` and gathers the messages that the extension shows meanwhile; each is answered with `answer`, or what that says of it. */
export async function withMessages<R>(
  body: () => Promise<R>,
  answer?: string | ((message: string) => string),
): Promise<{ readonly result: R; readonly messages: string[] }> {
  const messages: string[] = [];
  const window = vscode.window as { -readonly [K in keyof typeof vscode.window]: (typeof vscode.window)[K] };
  const names = ["showErrorMessage", "showWarningMessage", "showInformationMessage"] as const;
  const originals = names.map((name) => window[name]);
  for (const name of names) {
    window[name] = (message: string) => {
      messages.push(message);
      return Promise.resolve(typeof answer === "function" ? answer(message) : answer);
    };
  }
  try {
    return { result: await body(), messages };
  } finally {
    names.forEach((name, index) => (window[name] = originals[index] as never));
  }
}
