import { basename } from "node:path";
import * as vscode from "vscode";
import type { ModelFile, Summary } from "../files.ts";

/** Bytes as people write them, in powers of 1000 as file managers do. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"] as const;
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Milliseconds as people compare them: whole ones, and seconds from ten on. */
export function formatMilliseconds(milliseconds: number): string {
  return milliseconds < 10_000
    ? vscode.l10n.t("{0} ms", Math.round(milliseconds))
    : vscode.l10n.t("{0} s", (milliseconds / 1000).toFixed(1));
}

/** The name of a LoRA or delta, by which prompts refer to it. */
export function loraName(file: string): string {
  return basename(file).replace(/\.(safetensors|trt_lora)$/i, "");
}

/** A scale with the digits that it has, two at least: "0.80". */
export function formatScale(scale: number): string {
  const text = String(Math.round(scale * 1000) / 1000);
  const digits = text.split(".")[1]?.length ?? 0;
  return digits < 2 ? scale.toFixed(2) : text;
}

/** How many LoRAs a stack applies; nothing for an empty one. */
export function stackSizeText(size: number): string | undefined {
  if (size === 0) return undefined;
  return size === 1 ? vscode.l10n.t("1 LoRA") : vscode.l10n.t("{0} LoRAs", size);
}

export function joined(parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== "").join(" · ");
}

function rankOf({ rank }: Summary): string | undefined {
  return rank === undefined ? undefined : vscode.l10n.t("rank {0}", rank);
}

/** A strength other than 1, which is folded into a delta. */
function strengthOf({ strength }: Summary): string | undefined {
  return strength === undefined || strength === 1 ? undefined : `× ${formatScale(strength)}`;
}

function layersOf({ layers }: Summary): string | undefined {
  return layers === undefined ? undefined : vscode.l10n.t("{0} layers", layers);
}

/** Of the format before the one that is written now. */
function versionOf({ deltaVersion }: Summary): string | undefined {
  return deltaVersion === 1 ? vscode.l10n.t("version 1") : undefined;
}

/** Which engines a LoRA or delta fits, by name where it is one. */
export function fitText(engines: readonly string[]): string {
  const [first, ...others] = engines;
  if (first === undefined) return vscode.l10n.t("fits no engine here");
  return others.length === 0 ? vscode.l10n.t("fits {0}", first) : vscode.l10n.t("fits {0} engines", engines.length);
}

/**
 * The small text beside a file's name.
 * @param fit of a LoRA or delta, where it is known
 */
export function detailOf({ summary, bytes }: ModelFile, fit?: string): string {
  if (summary.kind === "engine bundle") return joined([summary.architectureLabel, summary.precision, summary.backend]);
  // A model that is none of the known ones has a whole sentence for a label: that is for the tooltip.
  const label = summary.architecture === undefined ? undefined : summary.architectureLabel;
  return joined([fit, label, versionOf(summary), rankOf(summary), layersOf(summary), strengthOf(summary), formatBytes(bytes)]);
}

/** Text as Markdown shows it: names and sentences of files may hold what Markdown takes for its own. */
export function escapeMarkdown(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll(/[\\`*_{}[\]()#+\-.!~|<>&$]/g, String.raw`\$&`);
}

/** A table of facts under a title; those that are not known are left out. */
export function factsTooltip(
  title: string,
  facts: readonly (readonly [label: string, value: string | undefined])[],
  notes: readonly string[] = [],
): vscode.MarkdownString {
  const rows = facts.flatMap(([label, value]) => (value === undefined || value === "" ? [] : [`| ${label} | ${escapeMarkdown(value)} |`]));
  const lines = [`**${escapeMarkdown(title)}**`, "", "| | |", "|---|---|", ...rows];
  for (const note of notes) lines.push("", `$(warning) ${escapeMarkdown(note)}`);
  return new vscode.MarkdownString(lines.join("\n"), true);
}
