import * as vscode from "vscode";
import type { InspectionHeader } from "../../jobs/inspection/types.ts";
import { pickFile } from "../commands/pick.ts";
import type { Services } from "../commands/services.ts";
import { VIEW_TYPES } from "../contributions.ts";

/** What a person chose: a model, or none. */
type ChosenBase = { readonly path: string | null };

/** Which model each file's changes are measured against: what a person chose, or the one that a delta says it was made for. */
export class InspectionBases {
  readonly #services: Pick<Services, "files" | "memory" | "worker">;

  constructor(services: Pick<Services, "files" | "memory" | "worker">) {
    this.#services = services;
  }

  /** What was chosen for a file; undefined where nothing was, null where no base is wanted. */
  chosen(file: string): string | null | undefined {
    return this.#services.memory.get<ChosenBase>(key(file))?.path;
  }

  /** The engine or checkpoint that a delta was made for, where it is known here. */
  async find({ baseFingerprint }: InspectionHeader): Promise<string | undefined> {
    if (baseFingerprint === undefined) return undefined;
    const { files, worker } = this.#services;
    await files.ready("bundle");
    const engine = files.of("engine bundle").find(({ summary }) => summary.fingerprint === baseFingerprint);
    if (engine) return engine.uri.fsPath;
    const candidates = files.of("checkpoint").map(({ uri }) => uri.fsPath);
    return (await worker.request("inspection/findBase", { fingerprint: baseFingerprint, candidates })) ?? undefined;
  }

  /** Lets a person choose an engine or checkpoint, those of an architecture first. */
  async ask(architecture: InspectionHeader["architecture"]): Promise<string | undefined> {
    const { files } = this.#services;
    await files.ready("bundle");
    const models = files.of("engine bundle", "checkpoint");
    const fitting = models.filter(({ summary }) => architecture === undefined || summary.architecture === architecture);
    const others = models.filter((model) => !fitting.includes(model));
    const groups = [{ files: fitting }, { heading: vscode.l10n.t("Other models"), files: others }];
    const filters = { [vscode.l10n.t("Models")]: ["safetensors"] };
    return pickFile(vscode.l10n.t("Measure Against"), vscode.l10n.t("An engine or a checkpoint"), groups, filters);
  }

  /** Asks a person; true where another base is to be used now. */
  async choose(file: string, architecture: InspectionHeader["architecture"]): Promise<boolean> {
    const { memory } = this.#services;
    const none = vscode.l10n.t("Nothing: the file alone");
    const choose = vscode.l10n.t("Choose the engine or checkpoint…");
    const title = vscode.l10n.t("Measure Against");
    const action = this.chosen(file) ? await vscode.window.showQuickPick([choose, none], { title }) : choose;
    if (action === undefined) return false;
    if (action === none) {
      await memory.update(key(file), { path: null } satisfies ChosenBase);
      return true;
    }
    const path = await this.ask(architecture);
    if (path === undefined) return false;
    await memory.update(key(file), { path } satisfies ChosenBase);
    return true;
  }
}

function key(file: string): string {
  return `${VIEW_TYPES.inspector}.base:${file}`;
}
