import { relative } from "node:path";
import * as vscode from "vscode";
import type { ModelFile, ModelFiles } from "../files.ts";
import { firstValue, suggest, type Suggestions } from "./options.ts";

/** What is offered for the options that name a file of these kinds. */
const FILES: Readonly<Record<string, readonly ModelFile["summary"]["kind"][]>> = { engine: ["engine bundle"], file: ["lora", "delta"] };

/** Completes the options and values of batch files, and the engines and LoRAs of the workspace. */
export class BatchCompletion implements vscode.CompletionItemProvider {
  readonly #files: ModelFiles;
  readonly #descriptions: Readonly<Record<string, string>>;

  /** @param descriptions of the options, in the person's language */
  constructor(files: ModelFiles, descriptions: Readonly<Record<string, string>>) {
    this.#files = files;
    this.#descriptions = descriptions;
  }

  async provideCompletionItems(document: vscode.TextDocument, position: vscode.Position): Promise<vscode.CompletionItem[]> {
    const suggestions = suggest(document.lineAt(position).text, position.character);
    if (!suggestions) return [];
    const { kind, span, texts } = suggestions;
    const range = new vscode.Range(position.line, span.start, position.line, span.end);
    const option = suggestions.path.at(-1);
    const files = kind === "value" && typeof option === "string" ? await this.#filesFor(option, document) : [];
    const items = kind === "option" ? texts.map((name) => this.#option(name, suggestions)) : [...texts, ...files].map(valueItem);
    for (const [index, item] of items.entries()) {
      item.range = range;
      item.sortText = String(index).padStart(6, "0");
    }
    return items;
  }

  #option(name: string, { path, needsValue }: Suggestions): vscode.CompletionItem {
    const item = new vscode.CompletionItem(name, vscode.CompletionItemKind.Property);
    item.filterText = JSON.stringify(name);
    item.insertText = needsValue ? withValue(name, firstValue(path, name)) : JSON.stringify(name);
    const description = path.length === 0 ? this.#descriptions[name] : undefined;
    if (description !== undefined) item.documentation = description;
    return item;
  }

  /** JSON of the paths, as the command line finds them from the document's folder. */
  async #filesFor(option: string, document: vscode.TextDocument): Promise<string[]> {
    const kinds = FILES[option];
    const folder = vscode.workspace.getWorkspaceFolder(document.uri);
    if (!kinds || !folder) return [];
    await this.#files.listed();
    return this.#files.of(...kinds).map(({ uri }) => JSON.stringify(relative(folder.uri.fsPath, uri.fsPath).replaceAll("\\", "/")));
  }
}

/** The option with its first value marked, to be typed over. */
function withValue(name: string, value: string): vscode.SnippetString {
  const snippet = new vscode.SnippetString().appendText(`${JSON.stringify(name)}: `);
  if (value.startsWith('"')) return snippet.appendText('"').appendPlaceholder(value.slice(1, -1)).appendText('"');
  return snippet.appendPlaceholder(value);
}

function valueItem(text: string): vscode.CompletionItem {
  return new vscode.CompletionItem(text, vscode.CompletionItemKind.Value);
}
