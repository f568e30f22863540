import { existsSync } from "node:fs";
import { basename } from "node:path";
import * as vscode from "vscode";
import type { GenerationProtocol, PanelState, SourcePicture } from "../../webview/generation/protocol.ts";
import { pickFiles } from "../commands/pick.ts";
import type { Services } from "../commands/services.ts";
import { loraGroups } from "../commands/suggest.ts";
import { moveToTrash } from "../commands/trash.ts";
import { setting } from "../contributions.ts";
import { isStack, withChanges, withEntry, without } from "../stack/entries.ts";
import { requireTrust } from "../trust.ts";
import type { RequestHandlers } from "../webviews/server.ts";
import { stackItems } from "./choices.ts";
import type { GenerationSession } from "./session.ts";
import { sourceFile, withFile } from "./sources.ts";

export interface HandlerContext {
  readonly services: Services;
  readonly session: GenerationSession;
  /** Where dropped pictures are kept. */
  readonly dropped: vscode.Uri;
  /** The uri under which the page may show a file. */
  readonly shown: (path: string) => string;
  readonly state: () => Promise<PanelState>;
  /** The engine that the panel shows has changed. */
  readonly onEngine: (engine: string) => void;
}

/** What answers the panel's requests. */
export function generationHandlers(context: HandlerContext): RequestHandlers<GenerationProtocol> {
  return { ...jobHandlers(context), ...stackHandlers(context), ...pictureHandlers(context) };
}

type Handlers = RequestHandlers<GenerationProtocol>;
type Part<Keys extends keyof Handlers> = Pick<Handlers, Keys>;

function jobHandlers({
  services,
  session,
  state,
  onEngine,
}: HandlerContext): Part<
  | "state"
  | "form/keep"
  | "prompt/describe"
  | "engine/load"
  | "engine/unload"
  | "job/start"
  | "job/cancel"
  | "queue/continue"
  | "queue/discard"
  | "trust"
> {
  const { worker } = services;
  return {
    state: ({ engine }) => {
      onEngine(engine);
      return state();
    },
    "form/keep": async (kept) => {
      onEngine(kept.form.engine);
      await session.keepForm(kept);
      return null;
    },
    "prompt/describe": ({ engine, prompts }) => worker.describePrompts(engine, prompts),
    "engine/load": async ({ engine }, { progress, cancellation }) => {
      requireTrust(vscode.l10n.t("Loading an engine"));
      await worker.loadEngine(engine, { backend: setting("backend"), base: setting("load.base") }, progress, cancellation);
      return null;
    },
    "engine/unload": async ({ engine }) => {
      await worker.unloadEngine(engine);
      return null;
    },
    "job/start": (request) => session.start(request),
    "job/cancel": async ({ id }) => {
      session.queue.cancel(id);
      return null;
    },
    "queue/continue": async () => {
      requireTrust(vscode.l10n.t("Generating an image"));
      session.queue.continue();
      return null;
    },
    "queue/discard": async () => {
      session.queue.discard();
      return null;
    },
    trust: async () => {
      await vscode.commands.executeCommand("workbench.trust.manage");
      return null;
    },
  };
}

function stackHandlers({ services }: HandlerContext): Part<"stack/change" | "stack/add" | "stack/remove" | "stack/restore"> {
  const { stacks, files } = services;
  return {
    "stack/change": async ({ engine, file, ...change }) => {
      await stacks.change(engine, (stack) => withChanges(stack, [file], change));
      return null;
    },
    "stack/add": async ({ engine }) => {
      await files.ready();
      const groups = loraGroups(files, engine, true);
      const chosen = (await pickFiles(vscode.l10n.t("Add to Stack"), vscode.l10n.t("LoRAs to put on the stack"), groups)) ?? [];
      if (chosen.length > 0) await stacks.change(engine, (stack) => chosen.reduce((all, file) => withEntry(all, file), stack));
      return null;
    },
    "stack/remove": async ({ engine, file }) => {
      await stacks.change(engine, (stack) => without(stack, [file]));
      return null;
    },
    "stack/restore": async ({ engine, items }) => {
      const entries = items.map(({ name: _name, ...entry }) => entry);
      if (!isStack(entries)) throw new Error("The page has sent no stack.");
      const before = stackItems(stacks.of(engine));
      await stacks.change(engine, () => entries);
      return before;
    },
  };
}

function pictureHandlers({
  services,
  session,
  dropped,
  shown,
}: HandlerContext): Part<"source/pick" | "source/drop" | "picture/parameters" | "history/open" | "history/delete"> {
  const toSource = (path: string): SourcePicture => ({ path, name: basename(path), uri: shown(path) });
  return {
    "source/pick": async () => {
      const filters = { [vscode.l10n.t("Pictures")]: ["png"] };
      const title = vscode.l10n.t("The picture to start from");
      const chosen = await vscode.window.showOpenDialog({ title, filters });
      return chosen?.[0] ? toSource(await sourceFile({ uri: chosen[0].toString() }, dropped)) : null;
    },
    "source/drop": async (picture) => toSource(await sourceFile(picture, dropped)),
    "picture/parameters": (picture) => withFile(picture, dropped, (path) => services.worker.pictureParameters(path)),
    "history/open": async ({ path, place }) => {
      if (!session.history.some(({ pictures }) => pictures.includes(path))) throw new Error(`${path} is no picture of the history.`);
      const uri = vscode.Uri.file(path);
      if (place === "editor") await vscode.commands.executeCommand("vscode.open", uri, { preview: false });
      else await vscode.commands.executeCommand("tensorrt.reveal", uri);
      return null;
    },
    "history/delete": async ({ id }) => {
      const pictures = session.history.find((each) => each.id === id)?.pictures ?? [];
      const left = pictures.filter((path) => existsSync(path)).map((path) => vscode.Uri.file(path));
      if (left.length === 0 || (await moveToTrash(left))) await session.forget(id);
      return null;
    },
  };
}
