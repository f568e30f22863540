import * as vscode from "vscode";

/** How small factors are to be: of at most a rank, or with a part of the change's energy. */
export type Size = { readonly rank: number } | { readonly energy: number };

/** "16" is a rank, "0.99" the part of the change's energy that stays; undefined where it is neither. */
function parseSize(text: string): Size | undefined {
  const value = Number(text.trim().replace(",", "."));
  if (text.trim() === "" || !(value > 0)) return undefined;
  if (value < 1) return { energy: value };
  return Number.isInteger(value) ? { rank: value } : undefined;
}

export async function askSize(title: string, value: string): Promise<Size | undefined> {
  const answer = await vscode.window.showInputBox({
    title,
    prompt: vscode.l10n.t("The largest rank, such as 16, or the part of the change's energy to keep, such as 0.99"),
    value,
    validateInput: (text) => (parseSize(text) ? undefined : vscode.l10n.t("A whole number from 1 on, or a number below 1")),
  });
  return answer === undefined ? undefined : parseSize(answer);
}
