import { basename } from "node:path";
import * as vscode from "vscode";

/** A number in each person's way of writing it; undefined where it is none. */
function parseScale(text: string): number | undefined {
  const value = Number(text.trim().replace(",", "."));
  return text.trim() === "" || !Number.isFinite(value) ? undefined : value;
}

/** Asks for the scale of these files; undefined where the person turns away. */
export async function askScale(title: string, files: readonly string[], value: number): Promise<number | undefined> {
  const answer = await vscode.window.showInputBox({
    title,
    prompt: vscode.l10n.t("The scale of {0}", files.map((file) => basename(file)).join(", ")),
    value: String(value),
    validateInput: (text) => (parseScale(text) === undefined ? vscode.l10n.t("A number, such as 0.8") : undefined),
  });
  return answer === undefined ? undefined : parseScale(answer);
}

/** A scale for each LoRA; undefined where the person turns away. */
export async function askScales(title: string, files: readonly string[]): Promise<{ file: string; scale: number }[] | undefined> {
  const references: { file: string; scale: number }[] = [];
  for (const file of files) {
    const scale = await askScale(title, [file], 1);
    if (scale === undefined) return undefined;
    references.push({ file, scale });
  }
  return references;
}
