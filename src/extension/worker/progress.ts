import { l10n } from "vscode";
import type { JobProgress } from "../../worker/protocol.ts";

/* The worker says in English what it is at; these are its words in the person's language. What is not listed stays as it is. */

/** A job's progress in the person's language. */
export function localizedProgress(progress: JobProgress): JobProgress {
  const { stage, message } = progress;
  return { ...progress, stage: stageText(stage), ...(message !== undefined && { message: message.split(", ").map(countText).join(", ") }) };
}

function stageText(stage: string): string {
  const known = stageTexts()[stage];
  if (known !== undefined) return known;
  // The name of a network comes last: "building unet (needs 6.2 GB)".
  const [, verb, rest] = /^(writing|building|testing) (.+)$/.exec(stage) ?? [];
  if (verb === "writing") return l10n.t("writing {0}", rest!);
  if (verb === "building") return l10n.t("building {0}", rest!);
  if (verb === "testing") return l10n.t("testing {0}", rest!);
  return stage;
}

function stageTexts(): Readonly<Record<string, string>> {
  return {
    "comparing the layers": l10n.t("comparing the layers"),
    "converting weights": l10n.t("converting weights"),
    decomposing: l10n.t("decomposing"),
    "downloading TensorRT-RTX": l10n.t("downloading TensorRT-RTX"),
    "hashing weights": l10n.t("hashing weights"),
    "linking weights": l10n.t("linking weights"),
    loading: l10n.t("loading"),
    looking: l10n.t("looking"),
    merging: l10n.t("merging"),
    "reading the LoRA": l10n.t("reading the LoRA"),
    "reading the LoRAs": l10n.t("reading the LoRAs"),
    "reading the checkpoint": l10n.t("reading the checkpoint"),
    "reading the checkpoints": l10n.t("reading the checkpoints"),
    "reading the delta": l10n.t("reading the delta"),
    "reading the layers": l10n.t("reading the layers"),
    sampling: l10n.t("sampling"),
    "timing steps": l10n.t("timing steps"),
    "unpacking TensorRT-RTX": l10n.t("unpacking TensorRT-RTX"),
    "writing the LoRA": l10n.t("writing the LoRA"),
    "writing the checkpoint": l10n.t("writing the checkpoint"),
    "writing the delta": l10n.t("writing the delta"),
  };
}

function countText(part: string): string {
  const [, what, count] = /^(step|picture) (\d+\/\d+)$/.exec(part) ?? [];
  if (what === "step") return l10n.t("step {0}", count!);
  if (what === "picture") return l10n.t("picture {0}", count!);
  return part;
}
