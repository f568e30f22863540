import type { Jobs } from "../worker/protocol.ts";
import { formatBytes } from "./views/texts.ts";

type Row = readonly string[];

/** Columns as wide as their widest cell; the columns named are set to the right. */
function table(rows: readonly Row[], rightAligned: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  const pad = (cell: string, column: number): string =>
    rightAligned.includes(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0);
  return rows.map((row) => row.map(pad).join("  ").trimEnd());
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** What a file holds, as text: what it is, its metadata, its tensors. */
export function inspectText({ file, kind, architecture, bytes, metadata, tensors, parameters, notes }: Jobs["inspect"]["result"]): string {
  const dtypes = Object.entries(parameters.byDtype).map(([dtype, total]) => `${count(total)} ${dtype}`);
  const facts: Row[] = [
    ["File", file],
    ["Kind", architecture === undefined ? kind : `${kind} (${architecture})`],
    ["Size", formatBytes(bytes)],
    ["Parameters", `${count(parameters.total)}${dtypes.length > 0 ? ` (${dtypes.join(", ")})` : ""}`],
    ["Tensors", count(tensors.length)],
  ];
  const entries = Object.entries(metadata);
  const tensorRows = tensors.map(({ name, dtype, shape, bytes: size }): Row => [name, dtype, `[${shape.join(", ")}]`, formatBytes(size)]);
  return [
    ...table(facts),
    ...notes.map((note) => `Note: ${note}`),
    ...(entries.length === 0 ? [] : ["", "Metadata", ...table(entries.map(([key, value]) => [`  ${key}`, value]))]),
    "",
    ...table([["Tensor", "Type", "Shape", "Size"], ...tensorRows], [3]),
    "",
  ].join("\n");
}

/** What was found and what was not, with every place looked in. */
export function doctorText({ version, platform, findings }: Jobs["doctor"]["result"]): string {
  const lines = [`TensorRT Redux ${version} on ${platform}`];
  for (const { name, state, version: found, where, tried, advice } of findings) {
    lines.push("", `${name}: ${state}${found === undefined ? "" : ` (${found})`}`);
    if (where !== undefined) lines.push(`  at ${where}`);
    for (const { place, reason } of tried) lines.push(`  looked at ${place}: ${reason}`);
    if (advice !== undefined) lines.push(`  ${advice}`);
  }
  return `${lines.join("\n")}\n`;
}
