import { stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomically } from "./atomic-file.ts";
import { DTYPE_BITS, type Dtype } from "./dtype.ts";
import { profileSchema } from "./engine-profile.ts";
import { UserError } from "./errors.ts";
import { selfTestSchema } from "./self-test.ts";
import { readJsonFile } from "./json-file.ts";

/** Raised when a reader of the older one could no longer use the bundle. */
export const ENGINE_BUNDLE_VERSION = 1;

/** The file that makes a folder an engine bundle. */
export const ENGINE_FILE = "engine.json";

const byteCount = z.int().nonnegative();

/** A file of the bundle: relative to its folder, with "/", and never outside of it. */
const fileName = z
  .string()
  .min(1)
  .refine((name) => isInside(name), "must be the name of a file inside the bundle");

function isInside(name: string): boolean {
  // Backslashes, drive letters and alternate streams mean something on Windows only, but bundles travel.
  return !/[\\:\0]/.test(name) && name.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** Where the base values of a refittable initializer stand: one of the bundle's weight files, in the engine's own dtype. */
const refittableSchema = z
  .strictObject({
    name: z.string().min(1),
    shape: z.array(byteCount),
    dtype: z.enum(Object.keys(DTYPE_BITS) as [Dtype, ...Dtype[]]),
    file: fileName,
    offset: byteCount,
    length: byteCount,
  })
  .refine(
    ({ shape, dtype, length }) => (shape.reduce((product, size) => product * size, 1) * DTYPE_BITS[dtype]) / 8 === length,
    "has a length that its shape and dtype do not give",
  );

const componentSchema = z
  .strictObject({
    component: z.string().regex(/^[a-z0-9_]+$/),
    /** The built plan; absent where the graph is what runs (ONNX Runtime). */
    engine: fileName.optional(),
    onnx: fileName.optional(),
    /** `_weights.json`, see weight-manifest.ts. */
    weights: fileName,
    /** Of what runs: the plan, or the graph without its weights. */
    bytes: byteCount,
    profile: profileSchema,
    /** The initializers a LoRA can change, in the graph's order. */
    refittable: z.array(refittableSchema),
  })
  .refine(({ engine, onnx }) => engine !== undefined || onnx !== undefined, "has neither an engine nor an ONNX file");

/** What `engine.json` holds. The descriptions are shown by editors, through schemas/engine.schema.json. */
export const engineBundleSchema = z
  .strictObject({
    formatVersion: z.literal(ENGINE_BUNDLE_VERSION).describe("The version of this file's format."),
    name: z.string().min(1).describe("The engine's name."),
    architecture: z.string().min(1).describe("What the checkpoint is, such as sdxl."),
    /** What is in it is src/models' to check. */
    configuration: z.record(z.string(), z.unknown()).describe("The model's configuration, as it was read off the checkpoint."),
    precision: z.enum(["fp16", "bf16", "fp32", "fp8", "nvfp4"]).describe("What the networks compute in."),
    backend: z
      .strictObject({ name: z.enum(["onnxruntime", "tensorrt", "tensorrt-rtx"]), version: z.string().min(1) })
      .describe("What the engine was built with."),
    computeCapability: z
      .string()
      .regex(/^\d+\.\d+$/)
      .optional()
      .describe('CUDA\'s, "9.0" for an H200; of engines that run on one kind of GPU alone.'),
    components: z.array(componentSchema).min(1).describe("The networks of the engine."),
    weightFiles: z
      .array(z.strictObject({ file: fileName, bytes: byteCount }))
      .describe("The safetensors files, hard links of the checkpoint's or converted, that the graphs' external data points into."),
    checkpoint: z
      .strictObject({ name: z.string().min(1), bytes: byteCount, fingerprint: z.string().regex(/^[0-9a-f]{64}$/) })
      .describe("What the engine was exported from; the fingerprint is a SHA-256 over its header and the first and last 64 KiB."),
    /** What is in it is src/jobs' to check. */
    exportOptions: z
      .record(z.string(), z.unknown())
      .optional()
      .describe("What the export was asked, its checkpoint relative to this folder: enough to ask the same again."),
    selfTest: z.array(selfTestSchema).optional().describe("Of each component; absent where the backend has nothing to be compared with."),
  })
  .superRefine(({ components, weightFiles }, context) => {
    const bytesOf = new Map(weightFiles.map(({ file, bytes }) => [file, bytes]));
    const names = new Set<string>();
    for (const { component, refittable } of components) {
      if (names.has(component)) context.addIssue({ code: "custom", path: ["components"], message: `lists ${component} twice` });
      names.add(component);
      const outside = refittable.find(({ file, offset, length }) => offset + length > (bytesOf.get(file) ?? -1));
      if (outside) {
        const message = `${component}: ${JSON.stringify(outside.name)} does not lie in one of the weight files`;
        context.addIssue({ code: "custom", path: ["components"], message });
      }
    }
  });

export type EngineBundle = z.infer<typeof engineBundleSchema>;
export type BundleComponent = z.infer<typeof componentSchema>;
export type RefittableWeight = z.infer<typeof refittableSchema>;

/**
 * Reads and checks a bundle's `engine.json`, and that the files it lists are there in full.
 * Throws "file.missing" where the folder is no bundle, "bundle.invalid" with the first thing that is wrong.
 */
export async function readEngineBundle(folder: string): Promise<EngineBundle> {
  const path = join(folder, ENGINE_FILE);
  const parsed = engineBundleSchema.safeParse(await readBundleJson(folder, path));
  if (!parsed.success) throw invalid(path, describeIssue(parsed.error));
  await checkFiles(folder, parsed.data);
  return parsed.data;
}

async function readBundleJson(folder: string, path: string): Promise<unknown> {
  try {
    return await readJsonFile(path);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    if (error.code === "file.missing") {
      throw new UserError("file.missing", `${folder} is not an engine bundle: it has no ${ENGINE_FILE}. Export a checkpoint to make one.`, {
        cause: error,
      });
    }
    if (error.code === "file.invalid") throw new UserError("bundle.invalid", error.message, { cause: error });
    throw error;
  }
}

async function checkFiles(folder: string, { components, weightFiles }: EngineBundle): Promise<void> {
  const sized = [...weightFiles, ...components.map(({ engine, onnx, bytes }) => ({ file: (engine ?? onnx)!, bytes }))];
  for (const { file, bytes } of sized) {
    const path = join(folder, file);
    const found = await stat(path).catch(() => undefined);
    if (!found?.isFile()) throw new UserError("bundle.invalid", `${path} is missing from the engine bundle. Export the checkpoint again.`);
    if (found.size !== bytes) {
      throw new UserError("bundle.invalid", `${path} has ${found.size} bytes instead of ${bytes}. Export the checkpoint again.`);
    }
  }
}

/** Writes `engine.json` into a folder that holds the other files already (see `buildFolderAtomically`). */
export async function writeEngineBundle(folder: string, bundle: EngineBundle): Promise<void> {
  const checked = engineBundleSchema.parse(bundle);
  const text = `${JSON.stringify(checked, undefined, 1)}\n`;
  await writeFileAtomically(join(folder, ENGINE_FILE), (writer) => writer.write(Buffer.from(text)));
}

function describeIssue(error: z.ZodError): string {
  const issue = error.issues[0]!;
  const place = issue.path.map(String).join(".");
  const text = place === "" ? issue.message : `${place}: ${issue.message}`;
  // Both hold names from the file.
  return text.replace(/\s+/g, " ").slice(0, 300);
}

function invalid(path: string, reason: string): UserError {
  return new UserError("bundle.invalid", `${path} is not a valid engine.json: ${reason}. Export the checkpoint again.`);
}
