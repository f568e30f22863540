/*
 * Writes what follows from the zod schemas of the jobs and of engine.json, so that there is one source of each: the options of tasks in
 * package.json, and schemas/. `npm run schemas`; a unit test fails where one of them is stale.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { TASK_COMMANDS, type TaskCommand } from "../src/extension/tasks/definition.ts";
import { engineBundleSchema } from "../src/formats/engine-bundle.ts";
import {
  benchOptionsSchema,
  deltaOptionsSchema,
  exportOptionsSchema,
  generateOptionsSchema,
  gridOptionsSchema,
  loraReferenceSchema,
} from "../src/jobs/options.ts";
import { bakeOptionsSchema, extractOptionsSchema, mergeLorasOptionsSchema, resizeOptionsSchema } from "../src/jobs/tool-options.ts";

type JsonSchema = z.core.JSONSchema.JSONSchema;
type Properties = Record<string, JsonSchema>;

const ROOT = fileURLToPath(new URL("..", import.meta.url));

const JOB_SCHEMAS: Readonly<Record<TaskCommand, z.ZodType>> = {
  export: exportOptionsSchema,
  delta: deltaOptionsSchema,
  generate: generateOptionsSchema,
  grid: gridOptionsSchema,
  bake: bakeOptionsSchema,
  extract: extractOptionsSchema,
  resize: resizeOptionsSchema,
  "merge-loras": mergeLorasOptionsSchema,
  bench: benchOptionsSchema,
};

/** Makes a schema say what a person needs: no limits of a double's whole numbers, and one schema for items that are alike. */
function simplify(schema: JsonSchema): void {
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.type === "integer" && schema.exclusiveMinimum === 0) {
    delete schema.exclusiveMinimum;
    schema.minimum = 1;
  }
  const { items } = schema;
  if (!Array.isArray(items) || items.some((item) => !isDeepStrictEqual(item, items[0]))) return;
  schema.items = items[0]!;
  delete schema.additionalItems;
}

/** What is written, before defaults are filled in, as the JSON Schema draft that VS Code knows best. */
function toJsonSchema(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    target: "draft-7",
    io: "input",
    override: ({ jsonSchema }) => simplify(jsonSchema),
  });
  return json;
}

/** The options of a job; for programs alone is what comes with the progress. */
function optionsOf(schema: z.ZodType): Properties {
  const { previewEvery: _, ...options } = toJsonSchema(schema).properties as Properties;
  return options;
}

/** One schema for an option of several commands; a default is kept where it is the same for all. */
function combine(schemas: readonly JsonSchema[]): JsonSchema {
  const [first] = schemas;
  const plain = schemas.map(({ default: _default, ...rest }) => rest);
  const different = plain.filter((schema, index) => plain.findIndex((other) => isDeepStrictEqual(other, schema)) === index);
  const combined = different.length === 1 ? different[0]! : { anyOf: different };
  const isDefault = first!.default !== undefined && schemas.every((schema) => isDeepStrictEqual(schema.default, first!.default));
  return isDefault ? { ...combined, default: first!.default } : combined;
}

/** What a task writes as the command line does. */
function taskForms(): Properties {
  return {
    lora: { anyOf: [{ type: "string" }, { type: "array", items: { anyOf: [{ type: "string" }, toJsonSchema(loraReferenceSchema)] } }] },
    jobs: { type: "string" },
    x: { type: "string" },
    y: { type: "string" },
  };
}

/** `properties` of the task definition in package.json; the texts are package.nls.json's. */
export function taskProperties(): Properties {
  const variants = new Map<string, JsonSchema[]>();
  for (const command of TASK_COMMANDS) {
    for (const [option, schema] of Object.entries(optionsOf(JOB_SCHEMAS[command]))) {
      variants.set(option, [...(variants.get(option) ?? []), schema]);
    }
  }
  const options = Object.fromEntries([...variants].map(([option, schemas]) => [option, combine(schemas)]));
  const properties: Properties = { command: { type: "string", enum: [...TASK_COMMANDS] }, ...options, ...taskForms() };
  return Object.fromEntries(Object.entries(properties).map(([option, schema]) => [option, { description: `%task.${option}%`, ...schema }]));
}

/** A line of a batch file. It has no texts: VS Code shows those of the tasks' options, in its language. */
export function batchLineSchema(): JsonSchema {
  return { type: "object", properties: optionsOf(generateOptionsSchema), additionalProperties: false };
}

/** Of an engine bundle's file; other programs have an engine.json too, of which nothing is said. */
export function engineSchema(): JsonSchema {
  const isOurs = ["formatVersion", "weightFiles"].map((key) => ({ required: [key] }));
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Engine bundle of TensorRT Redux",
    if: { not: { anyOf: isOurs } },
    else: toJsonSchema(engineBundleSchema),
  };
}

/** Every file that holds something generated, with its content. */
export function generated(): ReadonlyMap<string, unknown> {
  const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    contributes: { taskDefinitions: [{ properties: Properties }] };
  };
  manifest.contributes.taskDefinitions[0].properties = taskProperties();
  return new Map<string, unknown>([
    ["package.json", manifest],
    ["schemas/batch-line.schema.json", batchLineSchema()],
    ["schemas/engine.schema.json", engineSchema()],
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const files = generated();
  for (const [file, content] of files) writeFileSync(join(ROOT, file), `${JSON.stringify(content, undefined, 2)}\n`);
  execFileSync(process.execPath, [join(ROOT, "node_modules", "oxfmt", "bin", "oxfmt"), ...files.keys()], { cwd: ROOT, stdio: "inherit" });
}
