import type { GenerationParameters } from "./generation-parameters.ts";
import { parseSamplerLabel, parseScheduleLabel, samplerLabel, scheduleLabel } from "./parameter-labels.ts";

const NEGATIVE = "Negative prompt:";

/** Our own fields, ignored by others: the prompts, where lines and trimming would not give them back as they were. */
const EXACT_PROMPT = "Exact prompt";
const EXACT_NEGATIVE = "Exact negative prompt";

/** Fewer fields than this in the last line, and the WebUI takes it for a part of the prompt. */
const FEWEST_FIELDS = 3;

/**
 * The text that the WebUI family writes into a picture: the prompt, "Negative prompt: …" on a line of its own, and a last line
 * of "Label: value" fields, values with a comma, colon, quote or newline as JSON strings.
 */
export function formatParameters(parameters: GenerationParameters): string {
  const { prompt, negativePrompt } = parameters;
  const fields = fieldsOf(parameters);
  const text = join(prompt, negativePrompt, fields);
  // Through UTF-8, as the file has it: half a surrogate pair would not come back either.
  const { prompt: readPrompt, negativePrompt: readNegative } = parseParameters(Buffer.from(text).toString());
  if (readPrompt === prompt && readNegative === negativePrompt) return text;
  return join(prompt, negativePrompt, [
    ...fields,
    [EXACT_PROMPT, JSON.stringify(prompt)],
    [EXACT_NEGATIVE, JSON.stringify(negativePrompt)],
  ]);
}

type Fields = readonly (readonly [label: string, value: string])[];

function join(prompt: string, negativePrompt: string, fields: Fields): string {
  const negative = negativePrompt === "" ? [] : [`${NEGATIVE} ${negativePrompt}`];
  return [prompt, ...negative, fields.map(([label, value]) => `${label}: ${value}`).join(", ")].join("\n").trim();
}

function fieldsOf(parameters: GenerationParameters): Fields {
  const { sampler, schedule, size, loraHashes } = parameters;
  const fields: (readonly [string, string | number | undefined])[] = [
    ["Steps", parameters.steps],
    ["Sampler", sampler && samplerLabel(sampler)],
    ["Schedule type", schedule && scheduleLabel(schedule)],
    ["CFG scale", parameters.cfgScale],
    ["Seed", parameters.seed],
    ["Size", size && `${size.width}x${size.height}`],
    ["Model hash", parameters.modelHash],
    ["Model", parameters.model],
    ["Denoising strength", parameters.denoisingStrength],
    ["Lora hashes", loraHashes && loraHashes.map(({ name, hash }) => `${name}: ${hash}`).join(", ")],
    ...parameters.others,
    ["Version", parameters.version],
  ];
  return fields.flatMap(([label, value]) => (value === undefined || value === "" ? [] : [[label, quote(String(value))] as const]));
}

function quote(value: string): string {
  return /[,:\n"]|^\s|\s$/.test(value) ? JSON.stringify(value) : value;
}

/** Reads the text that `formatParameters` or the WebUI family wrote; any text is a prompt at least. */
export function parseParameters(text: string): GenerationParameters {
  const lines = text.trim().split("\n");
  let fields = parseFields(lines.at(-1)!);
  if (fields.size < FEWEST_FIELDS && !fields.has(EXACT_PROMPT)) fields = new Map();
  else lines.pop();
  const { prompt, negativePrompt } = splitPrompts(lines);
  const taken = take(fields);
  return {
    prompt: taken.text(EXACT_PROMPT) ?? prompt,
    negativePrompt: taken.text(EXACT_NEGATIVE) ?? negativePrompt,
    ...understand(taken),
    others: fields,
  };
}

function splitPrompts(lines: readonly string[]): { prompt: string; negativePrompt: string } {
  const prompt: string[] = [];
  const negative: string[] = [];
  let current = prompt;
  for (const line of lines) {
    const trimmed = line.trim();
    const isNegative = trimmed.startsWith(NEGATIVE);
    if (isNegative) current = negative;
    current.push(isNegative ? trimmed.slice(NEGATIVE.length).trim() : trimmed);
  }
  return { prompt: prompt.join("\n"), negativePrompt: negative.join("\n") };
}

/** The fields of the last line. One pass over the text, because it may be of any length and content. */
function parseFields(line: string): Map<string, string> {
  const fields = new Map<string, string>();
  let position = 0;
  while (position < line.length) {
    const comma = endAt(line, ",", position);
    const colon = endAt(line, ":", position);
    if (colon === line.length) break;
    if (colon >= comma) {
      position = comma + 1;
      continue;
    }
    const label = line.slice(position, colon).trim();
    let start = colon + 1;
    while (line[start] === " ") start++;
    const quoted = line[start] === '"' ? quotedValue(line, start) : undefined;
    const end = quoted?.end ?? endAt(line, ",", start);
    if (/^\w[\w \-/]*$/.test(label)) fields.set(label, quoted?.value ?? line.slice(start, end).trim());
    position = end + 1;
  }
  return fields;
}

function endAt(line: string, character: string, from: number): number {
  const found = line.indexOf(character, from);
  return found < 0 ? line.length : found;
}

/** A JSON string that fills its field; undefined where the quote at `start` does not begin one. */
function quotedValue(line: string, start: number): { value: string; end: number } | undefined {
  let end = start + 1;
  while (end < line.length && line[end] !== '"') end += line[end] === "\\" ? 2 : 1;
  end++;
  if (end > line.length || (end < line.length && line[end] !== ",")) return undefined;
  try {
    return { value: JSON.parse(line.slice(start, end)) as string, end };
  } catch {
    return undefined;
  }
}

/** Takes understood fields out of the map, so that the rest stays under `others`. */
function take(fields: Map<string, string>) {
  function parsed<Value>(label: string, parse: (text: string) => Value | undefined): Value | undefined {
    const text = fields.get(label);
    const value = text === undefined ? undefined : parse(text);
    if (value !== undefined) fields.delete(label);
    return value;
  }
  return {
    parsed,
    text: (label: string) => parsed(label, (text) => text),
    number: (label: string) => parsed(label, (text) => (/^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined)),
  };
}

function understand(taken: ReturnType<typeof take>): Omit<GenerationParameters, "prompt" | "negativePrompt" | "others"> {
  const sampler = taken.parsed("Sampler", parseSamplerLabel);
  const values = {
    steps: taken.number("Steps"),
    sampler: sampler?.sampler,
    schedule: taken.parsed("Schedule type", parseScheduleLabel) ?? sampler?.schedule,
    cfgScale: taken.number("CFG scale"),
    seed: taken.parsed("Seed", (text) => (/^-?\d+$/.test(text) ? text : undefined)),
    size: taken.parsed("Size", parseSize),
    modelHash: taken.text("Model hash"),
    model: taken.text("Model"),
    loraHashes: taken.parsed("Lora hashes", parseLoraHashes),
    denoisingStrength: taken.number("Denoising strength"),
    version: taken.text("Version"),
  };
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function parseSize(text: string): { width: number; height: number } | undefined {
  const [, width, height] = /^(\d+)x(\d+)$/.exec(text) ?? [];
  return width && height ? { width: Number(width), height: Number(height) } : undefined;
}

/** "name: hash, name: hash"; a name may hold colons, a hash does not. */
function parseLoraHashes(text: string): { name: string; hash: string }[] | undefined {
  const hashes = text.split(", ").map((item) => {
    const colon = item.lastIndexOf(": ");
    return { name: item.slice(0, colon), hash: item.slice(colon + 2) };
  });
  return hashes.every(({ name }) => name !== "") ? hashes : undefined;
}
