import assert from "node:assert/strict";
import * as vscode from "vscode";
import type { ModelFile, ModelFiles } from "../../../src/extension/files.ts";
import { DeltasView } from "../../../src/extension/views/deltas.ts";
import type { FileNode } from "../../../src/extension/views/nodes.ts";
import { until } from "../harness/processes.ts";
import { test } from "../harness/runner.ts";

type Facts = Partial<ModelFile["summary"]>;

function file(path: string, form: ModelFile["form"], facts: Facts): ModelFile {
  return { uri: vscode.Uri.file(path), form, bytes: 2_000_000, modified: 1, summary: { path, kind: "undescribed", ...facts } };
}

/** Files that are described when the test says so. */
class FakeFiles {
  readonly #changed = new vscode.EventEmitter<readonly ModelFile[] | undefined>();
  readonly onDidChange = this.#changed.event;
  readonly #files = new Map<string, ModelFile>();

  constructor(...files: readonly ModelFile[]) {
    for (const each of files) this.#files.set(each.uri.fsPath, each);
  }

  get all(): ModelFile[] {
    return [...this.#files.values()];
  }

  of(kind: string): ModelFile[] {
    return this.all.filter(({ summary }) => summary.kind === kind);
  }

  get(path: string): ModelFile | undefined {
    return this.#files.get(path);
  }

  listed(): Promise<void> {
    return Promise.resolve();
  }

  /** Nothing is read here. */
  describe(): void {}

  set(...files: readonly ModelFile[]): void {
    for (const each of files) this.#files.set(each.uri.fsPath, each);
    this.#changed.fire(files);
  }

  dispose(): void {
    this.#changed.dispose();
  }
}

const engine = (name: string, architecture: "sdxl" | "sd1", fingerprint: string): ModelFile =>
  file(`/e/${name}`, "bundle", { kind: "engine bundle", architecture, architectureLabel: architecture, fingerprint });

test("rows of LoRAs and deltas say which engines they fit, once these are known and when they change", async () => {
  const lora = file("/l/ink.safetensors", "safetensors", {
    kind: "lora",
    architecture: "sdxl",
    architectureLabel: "SDXL",
    rank: 8,
    layers: 192,
  });
  const delta = file("/l/ink.trt_lora", "delta", { kind: "delta", deltaVersion: 2, fingerprint: "b", strength: 0.5 });
  const old = file("/l/old.trt_lora", "delta", { kind: "delta", deltaVersion: 1, layers: 3 });
  const unread = file("/l/unread.safetensors", "safetensors", {});
  const files = new FakeFiles(lora, delta, old, unread);
  const view = new DeltasView(files as unknown as ModelFiles);
  const registration = vscode.Disposable.from(view.follow(), files);
  const descriptions = async (): Promise<unknown[]> => {
    const [folder] = await view.getChildren();
    const rows = (await view.getChildren(folder)) as FileNode[];
    return rows.map(({ item }) => item.description);
  };
  try {
    assert.deepEqual(await descriptions(), [
      "SDXL · rank 8 · 192 layers · 2.0 MB",
      "× 0.50 · 2.0 MB",
      "version 1 · 3 layers · 2.0 MB",
      "2.0 MB",
    ]);
    files.set(engine("small", "sdxl", "a"), engine("other", "sd1", "b"));
    assert.deepEqual(await descriptions(), [
      "fits small · SDXL · rank 8 · 192 layers · 2.0 MB",
      "fits other · × 0.50 · 2.0 MB",
      "version 1 · 3 layers · 2.0 MB",
      "2.0 MB",
    ]);
    let drawn = 0;
    const subscription = view.onDidChangeTreeData(() => drawn++);
    files.set(engine("large", "sdxl", "c"), engine("other", "sd1", "d"));
    await until("the rows to be drawn again", () => drawn > 0);
    subscription.dispose();
    const [first, second] = await descriptions();
    assert.equal(first, "fits 2 engines · SDXL · rank 8 · 192 layers · 2.0 MB");
    assert.equal(second, "fits no engine here · × 0.50 · 2.0 MB");
  } finally {
    registration.dispose();
  }
});
