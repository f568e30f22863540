import { z } from "zod";
import { writeFileAtomically } from "./atomic-file.ts";
import { UserError } from "./errors.ts";
import { readJsonFile } from "./json-file.ts";

const manifestEntrySchema = z.object({
  shape: z.array(z.int().nonnegative()),
  /** In ONNX's names: "FLOAT16", "BFLOAT16", "FLOAT", … */
  dtype: z.string(),
  /** MD5 of the raw bytes, in hexadecimal. */
  hash: z.string().regex(/^[0-9a-f]{32}$/),
});

export type ManifestEntry = z.infer<typeof manifestEntrySchema>;

/** `_weights.json`: what each initializer of a component is, by name, so that other tools can match weights by content. */
export type WeightManifest = ReadonlyMap<string, ManifestEntry>;

const ONNX_DTYPE: Readonly<Record<string, string>> = {
  F16: "FLOAT16",
  BF16: "BFLOAT16",
  F32: "FLOAT",
  F64: "DOUBLE",
  F8_E4M3: "FLOAT8E4M3FN",
  F8_E5M2: "FLOAT8E5M2",
};

/**
 * The manifest entry of one initializer.
 * @param hash MD5 of its bytes as the engine holds them, in hexadecimal
 */
export function manifestEntry(dtype: string, shape: readonly number[], hash: string): ManifestEntry {
  const onnxDtype = ONNX_DTYPE[dtype];
  if (onnxDtype === undefined) throw new Error(`Weights of dtype ${dtype} are not stored in bundles.`);
  return { shape: [...shape], dtype: onnxDtype, hash };
}

/** Reads a `_weights.json`; throws "bundle.invalid" where it is not one. */
export async function readWeightManifest(path: string): Promise<WeightManifest> {
  const json = await readJsonFile(path);
  const entries = typeof json === "object" && json !== null && !Array.isArray(json) ? Object.entries(json) : undefined;
  const manifest = entries?.map(([name, entry]) => [name, manifestEntrySchema.safeParse(entry)] as const);
  const bad = manifest?.find(([, parsed]) => !parsed.success);
  if (!manifest || bad) {
    const where = bad ? `its entry ${JSON.stringify(bad[0])} has no shape, dtype and hash` : "it is not a JSON object";
    throw new UserError("bundle.invalid", `${path} is not a list of weights: ${where}. Export the checkpoint again.`);
  }
  return new Map(manifest.map(([name, parsed]) => [name, parsed.data!]));
}

/** Writes a `_weights.json`, one initializer a line. */
export async function writeWeightManifest(path: string, manifest: WeightManifest): Promise<void> {
  const lines = [...manifest].map(([name, { shape, dtype, hash }]) => `${JSON.stringify(name)}: ${JSON.stringify({ shape, dtype, hash })}`);
  await writeFileAtomically(path, (writer) => writer.write(Buffer.from(`{\n${lines.join(",\n")}\n}\n`)));
}
