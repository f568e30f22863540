import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as vscode from "vscode";
import type { Services } from "../../../src/extension/commands/services.ts";
import { generationHandlers } from "../../../src/extension/generation/handlers.ts";
import { History, type HistoryRecord } from "../../../src/extension/generation/history.ts";
import type { GenerationSession } from "../../../src/extension/generation/session.ts";
import { ComparisonPanels } from "../../../src/extension/inspector/comparison.ts";
import { FolderMemory } from "../../../src/extension/memory.ts";
import type { Stack } from "../../../src/extension/stack/entries.ts";
import type { RequestContext } from "../../../src/extension/webviews/server.ts";
import type { GenerationForm } from "../../../src/webview/generation/model/form.ts";
import type { GenerationProtocol, StackItem } from "../../../src/webview/generation/protocol.ts";
import { inWorkspace, withMessages } from "../harness/inside.ts";
import { test } from "../harness/runner.ts";

/** No handler here looks at it. */
const CONTEXT = {} as RequestContext<GenerationProtocol, never>;

/** The panel's handlers over a history and a stack of the test's own, in a folder that is removed. */
async function withHandlers(
  body: (handlers: ReturnType<typeof generationHandlers>, history: History, folder: string, stack: () => Stack) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(inWorkspace("panel-"));
  const history = new History(new FolderMemory(join(folder, "memory")));
  const session = {
    get history() {
      return history.records;
    },
    forget: (id: string) => history.remove(id),
  } as unknown as GenerationSession;
  let stack: Stack = [{ file: "/l/a.safetensors", scale: 0.5, enabled: true }];
  const stacks = {
    of: () => stack,
    change: (_engine: string, edit: (before: Stack) => Stack) => Promise.resolve(void (stack = edit(stack))),
  };
  const handlers = generationHandlers({
    services: { stacks } as unknown as Services,
    session,
    dropped: vscode.Uri.file(join(folder, "dropped")),
    shown: (path) => path,
    state: () => Promise.reject(new Error("not asked for")),
    onEngine: () => {},
  });
  try {
    await body(handlers, history, folder, () => stack);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function record(id: string, pictures: readonly string[]): HistoryRecord {
  return { id, pictures, form: {} as GenerationForm, stack: [], seed: "1", milliseconds: 1, isGrid: false };
}

test("the pictures of a batch are deleted after one question, those that are gone already without any", () =>
  withHandlers(async (handlers, history, folder) => {
    const pictures = ["a.png", "b.png", "c.png"].map((name) => join(folder, name));
    for (const path of pictures.slice(0, 2)) writeFileSync(path, "");
    await history.add(record("batch", pictures));
    await history.add(record("gone", [join(folder, "gone.png")]));
    const remove = (id: string): Promise<unknown> => handlers["history/delete"]({ id }, CONTEXT);
    assert.deepEqual((await withMessages(() => remove("batch"))).messages, ["Move 2 files to the trash?"]);
    assert.ok(
      pictures.slice(0, 2).every((path) => existsSync(path)),
      "turned away, nothing is deleted",
    );
    assert.equal(history.records.length, 2);
    // A machine without a trash asks once more.
    await withMessages(
      () => remove("batch"),
      (message) => (message.startsWith("Move 2 files") ? "Move to Trash" : "Delete Permanently"),
    );
    assert.ok(!pictures.some((path) => existsSync(path)));
    assert.deepEqual((await withMessages(() => remove("gone"))).messages, []);
    assert.deepEqual(history.records, []);
  }));

test("the page opens pictures of the history alone, and puts nothing on a stack that is none", () =>
  withHandlers(async (handlers, history, folder, stack) => {
    await history.add(record("a", [join(folder, "a.png")]));
    const open = (path: string): Promise<unknown> => handlers["history/open"]({ path, place: "editor" }, CONTEXT);
    await assert.rejects(open("/etc/passwd"), /is no picture of the history/);
    const restore = (items: unknown): Promise<readonly StackItem[]> =>
      handlers["stack/restore"]({ engine: "/e", items: items as StackItem[] }, CONTEXT);
    const before = stack();
    for (const items of [[{ name: "b", file: 3, scale: 1, enabled: true }], [{ name: "b", file: "/l/b.safetensors", scale: "1" }]])
      await assert.rejects(restore(items), /no stack/);
    assert.equal(stack(), before);
    const given = await restore([{ name: "b", file: "/l/b.safetensors", scale: 1, enabled: true }]);
    assert.deepEqual(given, [{ name: "a", file: "/l/a.safetensors", scale: 0.5, enabled: true }]);
    assert.deepEqual(stack(), [{ file: "/l/b.safetensors", scale: 1, enabled: true }]);
  }));

test("a comparison that another version kept otherwise is closed", async () => {
  const panels = new ComparisonPanels({} as Services, { extensionUri: vscode.Uri.file("/x"), storageUri: vscode.Uri.file("/y") });
  const lora = { file: "/l/a.safetensors" };
  const kept = [undefined, {}, { comparison: null }, { comparison: { a: [], b: [] } }, { comparison: { a: [lora], b: [{}] } }];
  let closed = 0;
  const panel = { dispose: () => void closed++ } as unknown as vscode.WebviewPanel;
  for (const state of kept) await panels.deserializeWebviewPanel(panel, state);
  assert.equal(closed, kept.length);
});
