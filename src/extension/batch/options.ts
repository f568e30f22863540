import { findNodeAtLocation, getLocation, type Node, type ParseError, parseTree } from "jsonc-parser";
import schema from "../../../schemas/batch-line.schema.json" with { type: "json" };
import type { BatchProblem } from "../../worker/protocol.ts";

/* The lines of batch files as far as JSON goes: what can stand where, and where in a line a problem is. Columns are from 0. */

/** As much of JSON Schema as the generated schema of a line uses. */
export interface OptionSchema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, OptionSchema>>;
  readonly items?: OptionSchema;
}

/** A piece of a line, its end excluded. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What can be written at a place of a line. */
export interface Suggestions {
  readonly kind: "option" | "value";
  /** Names of options, or values as JSON, the likeliest first. */
  readonly texts: readonly string[];
  /** What a chosen one takes the place of. */
  readonly span: Span;
  /** The option whose value is meant; of "option", the one inside which names are. */
  readonly path: readonly (string | number)[];
  /** True where the value of an option that is chosen has to be written after it. */
  readonly needsValue: boolean;
}

function schemaAt(path: readonly (string | number)[]): OptionSchema | undefined {
  return path.reduce<OptionSchema | undefined>(
    (at, step) => (typeof step === "number" ? at?.items : at?.properties?.[step]),
    schema as OptionSchema,
  );
}

/** JSON of the values that an option is known to take. */
function valuesOf({ type, enum: choices, default: standard }: OptionSchema): string[] {
  if (choices) return choices.map((choice) => JSON.stringify(choice));
  if (type === "boolean") return ["true", "false"];
  return standard === undefined ? [] : [JSON.stringify(standard)];
}

function namesIn(parent: Node | undefined): ReadonlySet<string> {
  return new Set(parent?.children?.map(({ children }) => children?.[0]?.value as string));
}

/** What can be written in a line at a column; undefined where nothing is known. */
export function suggest(line: string, column: number): Suggestions | undefined {
  if (line.trimStart().startsWith("#")) return undefined;
  const location = getLocation(line, column);
  const { previousNode } = location;
  const inside = previousNode && previousNode.offset <= column && column <= previousNode.offset + previousNode.length;
  const span = inside ? { start: previousNode.offset, end: previousNode.offset + previousNode.length } : { start: column, end: column };
  if (!location.isAtPropertyKey) {
    const option = schemaAt(location.path);
    return option && { kind: "value", texts: valuesOf(option), span, path: location.path, needsValue: false };
  }
  const path = location.path.slice(0, -1);
  const { properties } = schemaAt(path) ?? {};
  if (!properties) return undefined;
  const tree = parseTree(line);
  const taken = namesIn(tree && findNodeAtLocation(tree, path));
  const current = inside ? (previousNode.value as string) : undefined;
  const texts = Object.keys(properties).filter((name) => name === current || !taken.has(name));
  return { kind: "option", texts, span, path, needsValue: !/^\s*:/.test(line.slice(span.end)) };
}

/** The value that a chosen option starts with. */
export function firstValue(path: readonly (string | number)[], option: string): string {
  const found = schemaAt([...path, option]);
  const [value] = found ? valuesOf(found) : [];
  if (value !== undefined) return value;
  return found?.type === "string" ? '""' : "";
}

/** The piece of a line that a problem is about: the option, else where the JSON breaks off, else all of it. */
export function spanOf({ path, missing }: Pick<BatchProblem, "path" | "missing">, line: string): Span {
  const all = { start: line.length - line.trimStart().length, end: line.trimEnd().length };
  const errors: ParseError[] = [];
  const tree = parseTree(line, errors, { allowTrailingComma: false, disallowComments: true });
  const [error] = errors;
  if (error && path.length === 0) return { start: Math.min(error.offset, Math.max(all.start, all.end - 1)), end: all.end };
  const node = tree && !missing ? findNodeAtLocation(tree, [...(path as (string | number)[])]) : undefined;
  const property = node?.parent?.type === "property" ? node.parent : node;
  return property ? { start: property.offset, end: property.offset + property.length } : all;
}
