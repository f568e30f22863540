import { formatBytes } from "../formats/atomic-file.ts";
import { describeSelfTest } from "../formats/self-test.ts";
import type { JobKind, JobResults } from "../jobs/run.ts";
import { basename } from "node:path";
import { bakeWords, combinedWords, extractWords } from "./tool-words.ts";

type Words = { readonly [Kind in JobKind]: (result: JobResults[Kind]) => string[] };

const WORDS: Words = {
  export: exportWords,
  delta: deltaWords,
  generate: generateWords,
  grid: gridWords,
  bake: bakeWords,
  extract: extractWords,
  resize: combinedWords,
  mergeLoras: combinedWords,
  inspect: inspectWords,
  compare: compareWords,
  bench: benchWords,
  doctor: doctorWords,
  installRuntime: installRuntimeWords,
};

/** A job's result as a person reads it, a line each. */
export function inWords<Kind extends JobKind>(kind: Kind, result: JobResults[Kind]): string[] {
  return WORDS[kind](result);
}

function exportWords({ bundle, components, selfTest = [] }: JobResults["export"]): string[] {
  return [
    `engine bundle: ${bundle}`,
    ...components.map(({ component, file, bytes }) => `  ${component.padEnd(15)} ${file} (${formatBytes(bytes)})`),
    ...selfTest.map((each) => `  self-test of ${each.component}: ${describeSelfTest(each)}`),
  ];
}

function deltaWords({ file, cached, matched, unmatched }: JobResults["delta"]): string[] {
  return [
    `delta: ${file}${cached ? " (made before, kept)" : ""}`,
    `  matched ${matched.length} modules`,
    ...(unmatched.length === 0 ? [] : [`  not matched ${unmatched.length}:`]),
    ...unmatched.map(({ name, reason }) => `    ${name}: ${reason}`),
  ];
}

function generateWords({ images, seed, timings, loras }: JobResults["generate"]): string[] {
  const { load, stack, encode, step, decode, total } = timings;
  return [
    ...images.map((image) => `image: ${image}`),
    `  seed ${seed}${loras.map(({ file, scale, matched }) => `, ${basename(file)} × ${scale} (${matched} modules)`).join("")}`,
    `  load ${milliseconds(load)}, stack ${milliseconds(stack)}, encode ${milliseconds(encode)}, step ${milliseconds(step)}, decode ${milliseconds(decode)}, in all ${milliseconds(total)}`,
  ];
}

function gridWords({ image, seed, columns, rows, timings }: JobResults["grid"]): string[] {
  return [
    `image: ${image}`,
    `  seed ${seed}, ${columns.length} × ${rows.length} pictures: ${[...columns, ...rows.filter((row) => row !== "")].join(", ")}`,
    `  in all ${milliseconds(timings.total)}`,
  ];
}

/** Rows beyond this many are counted; --json lists them all. */
const SHOWN_ROWS = 20;

function inspectWords(result: JobResults["inspect"]): string[] {
  const { file, kind, architecture, bytes, metadata, parameters, notes, statistics } = result;
  const types = Object.entries(parameters.byDtype).map(([dtype, count]) => `${count.toLocaleString("en")} ${dtype}`);
  return [
    `${file}: ${architecture ? `${architecture} ` : ""}${kind}, ${formatBytes(bytes)}`,
    `  ${result.tensors.length} tensors, ${parameters.total.toLocaleString("en")} parameters (${types.join(", ")})`,
    ...notes.map((note) => `  ${note}`),
    ...Object.entries(metadata).map(([key, value]) => `  ${key}: ${value.length > 200 ? `${value.slice(0, 200)}…` : value}`),
    ...(statistics ? layerWords(statistics) : tensorWords(result.tensors)),
  ];
}

function tensorWords(tensors: JobResults["inspect"]["tensors"]): string[] {
  return shortTable(tensors, ({ dtype, shape }) => `${dtype} [${shape.join(", ")}]`);
}

function layerWords(layers: NonNullable<JobResults["inspect"]["statistics"]>): string[] {
  return shortTable(layers, ({ kind, rank, alpha, norm, nan, infinite }) =>
    [
      rank === undefined ? kind : `rank ${rank}`,
      ...(alpha === undefined ? [] : [`alpha ${alpha}`]),
      ...(norm === undefined ? [] : [`norm ${norm.toPrecision(4)}`]),
      ...(nan + infinite === 0 ? [] : [`${nan} NaN, ${infinite} infinite`]),
    ].join(", "),
  );
}

function shortTable<Row extends { readonly name: string }>(rows: readonly Row[], words: (row: Row) => string): string[] {
  const shown = rows.slice(0, SHOWN_ROWS);
  const width = Math.max(0, ...shown.map(({ name }) => name.length));
  return [
    ...shown.map((row) => `  ${row.name.padEnd(width)} ${words(row)}`),
    ...(rows.length > SHOWN_ROWS ? [`  … and ${rows.length - SHOWN_ROWS} more (--json lists all)`] : []),
  ];
}

function compareWords({ a, b, totals, layers, notes }: JobResults["compare"]): string[] {
  const { layersInBoth, layersInA, layersInB, normA, normB, difference, cosine, ratio } = totals;
  return [
    `A: ${a.join(" + ")}`,
    `B: ${b.length === 0 ? "no change" : b.join(" + ")}`,
    ...notes.map((note) => `  ${note}`),
    `  ${layersInBoth} layers in both, ${layersInA} only in A, ${layersInB} only in B`,
    `  ‖A‖ ${significant(normA)}, ‖B‖ ${significant(normB)}, ‖B − A‖ ${significant(difference)}${cosine === undefined ? "" : `, cosine ${cosine.toFixed(4)}, ‖B‖/‖A‖ ${significant(ratio!)}`}`,
    ...shortTable(layers, comparedWords),
  ];
}

function comparedWords(layer: JobResults["compare"]["layers"][number]): string {
  if (layer.reason !== undefined) return layer.reason;
  const { in: side, normA, normB, cosine, overlapOutputs, overlapInputs, relativeDifference } = layer;
  return [
    side === "both" ? "" : `only in ${side.toUpperCase()}`,
    normA === undefined ? "" : `‖A‖ ${significant(normA)}`,
    normB === undefined ? "" : `‖B‖ ${significant(normB)}`,
    cosine === undefined ? "" : `cosine ${cosine.toFixed(4)}`,
    overlapOutputs === undefined ? "" : `overlap of outputs ${overlapOutputs.toFixed(3)}, of inputs ${overlapInputs!.toFixed(3)}`,
    relativeDifference === undefined ? "" : `‖B − A‖/‖W‖ ${significant(relativeDifference)}`,
  ]
    .filter((part) => part !== "")
    .join(", ");
}

function significant(value: number): string {
  return value.toPrecision(4);
}

function benchWords({ engine, backend, stepMilliseconds, loadMilliseconds, switches, memoryBytes }: JobResults["bench"]): string[] {
  const { median, min, max } = stepMilliseconds;
  const widest = Math.max(0, ...switches.map(({ stack }) => stack.length));
  return [
    `${engine} on ${backend}`,
    `  load   ${milliseconds(loadMilliseconds)}`,
    `  step   ${milliseconds(median)} (${milliseconds(min)} to ${milliseconds(max)})`,
    ...switches.map(
      ({ stack, read, merge, refit, total }) =>
        `  stack  ${stack.padEnd(widest)}  ${milliseconds(total)} (read ${milliseconds(read)}, merge ${milliseconds(merge)}, refit ${milliseconds(refit)})`,
    ),
    `  memory base ${formatBytes(memoryBytes.base)}, merged ${formatBytes(memoryBytes.merged)}, process ${formatBytes(memoryBytes.process)}`,
    ...(memoryBytes.gpu ? [`  GPU    ${gpuWords(memoryBytes.gpu)}`] : []),
  ];
}

function gpuWords({ plan, contexts, base, free, total }: NonNullable<JobResults["bench"]["memoryBytes"]["gpu"]>): string {
  const [plans, scratch, copy] = [plan, contexts, base].map(formatBytes);
  return `plans ${plans}, contexts ${scratch}, base ${copy}; ${formatBytes(free)} of ${formatBytes(total)} free`;
}

function doctorWords({ version, platform, findings }: JobResults["doctor"]): string[] {
  const lines = findings.flatMap(({ name, state, version: found, where, tried, advice }) => [
    `${state === "found" ? "+" : "-"} ${name}: ${state}${found === undefined ? "" : ` ${found}`}${where === undefined ? "" : ` (${where})`}`,
    ...(state === "found" ? [] : tried.map(({ place, reason }) => `    ${place}: ${reason}`)),
    ...(advice === undefined ? [] : [`    ${advice}`]),
  ]);
  return [`TensorRT Redux ${version} on ${platform}`, ...lines];
}

function installRuntimeWords({ folder, package: name, version, bytes, cached }: JobResults["installRuntime"]): string[] {
  return [`${name} ${version}: ${folder} (${formatBytes(bytes)})${cached ? ", there before" : ""}`];
}

/** A duration, in milliseconds or in seconds. */
export function milliseconds(value: number): string {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  return value >= 100 ? `${Math.round(value)} ms` : `${value.toFixed(1)} ms`;
}
