import { existsSync } from "node:fs";
import * as vscode from "vscode";
import type { InspectionHeader } from "../../jobs/inspection/types.ts";
import { pickFile } from "../commands/pick.ts";
import type { Services } from "../commands/services.ts";
import { VIEW_TYPES } from "../contributions.ts";
import { onlyFit } from "../fit.ts";
import { pathKey } from "../memory.ts";

/** Why a file is measured against its base: a person chose it, the delta was made for it, or no other model here fits. */
export type BaseReason = "chosen" | "madeFor" | "onlyFit";

/** What is remembered of a file: a model, or null where a person wants none. */
interface RememberedBase {
  readonly path: string | null;
  readonly reason: BaseReason;
}

export interface FoundBase {
  readonly path: string;
  readonly reason: BaseReason;
}

/** Which model each file's changes are measured against: what a person chose, the one that a delta was made for, the only one that fits. */
export class InspectionBases {
  readonly #services: Pick<Services, "files" | "memory" | "worker">;

  constructor(services: Pick<Services, "files" | "memory" | "worker">) {
    this.#services = services;
  }

  /** What is remembered of a file; undefined where nothing is, or where that model is gone. */
  async remembered(file: string): Promise<RememberedBase | undefined> {
    const { memory } = this.#services;
    const found = memory.get<RememberedBase>(key(file));
    if (!found || found.path === null || existsSync(found.path)) return found;
    await memory.update(key(file), undefined);
    return undefined;
  }

  async remember(file: string, base: RememberedBase): Promise<void> {
    await this.#services.memory.update(key(file), base);
  }

  /** The engine or checkpoint that a delta was made for, where it is known here; of a LoRA the only one that fits. */
  async find(header: InspectionHeader): Promise<FoundBase | undefined> {
    const { baseFingerprint } = header;
    const reason = baseFingerprint === undefined ? "onlyFit" : "madeFor";
    const path = baseFingerprint === undefined ? await this.#findOnlyFit(header) : await this.#findByFingerprint(baseFingerprint);
    return path === undefined ? undefined : { path, reason };
  }

  async #findByFingerprint(fingerprint: string): Promise<string | undefined> {
    const { files } = this.#services;
    await files.ready("bundle");
    const engine = files.of("engine bundle").find(({ summary }) => summary.fingerprint === fingerprint);
    return engine?.uri.fsPath ?? this.#checkpointOf(fingerprint);
  }

  /** See `onlyFit`: of the models that are known here. */
  async #findOnlyFit({ kind, architecture }: InspectionHeader): Promise<string | undefined> {
    if (kind !== "lora" && kind !== "delta") return undefined;
    const { files } = this.#services;
    await files.ready("bundle");
    await files.settled();
    const models = files.of("engine bundle", "checkpoint").map(({ uri, summary }) => ({ path: uri.fsPath, summary }));
    return onlyFit({ summary: { kind, ...(architecture && { architecture }) } }, models, (fingerprint) => this.#checkpointOf(fingerprint));
  }

  async #checkpointOf(fingerprint: string): Promise<string | undefined> {
    const { files, worker } = this.#services;
    const candidates = files.of("checkpoint").map(({ uri }) => uri.fsPath);
    return (await worker.request("inspection/findBase", { fingerprint, candidates })) ?? undefined;
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
  async choose(file: string, { architecture, base }: Pick<InspectionHeader, "architecture" | "base">): Promise<boolean> {
    const none = vscode.l10n.t("Nothing: the file alone");
    const choose = vscode.l10n.t("Choose the engine or checkpoint…");
    const title = vscode.l10n.t("Measure Against");
    const action = base ? await vscode.window.showQuickPick([choose, none], { title }) : choose;
    if (action === undefined) return false;
    const path = action === none ? null : await this.ask(architecture);
    if (path === undefined) return false;
    await this.remember(file, { path, reason: "chosen" });
    return true;
  }
}

function key(file: string): string {
  return pathKey(`${VIEW_TYPES.inspector}.base`, file);
}
