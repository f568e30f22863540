import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fromFloat32 } from "../../src/formats/numbers.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { elementCount } from "../../src/formats/tensor.ts";
import type { BaseDescription } from "../../src/lora/base.ts";
import { LoraFile } from "../../src/lora/lora-file.ts";
import { prepareDelta, type DeltaReport } from "../../src/lora/make-delta.ts";
import { REFUSALS, type RefusedFile } from "../fixtures/lora/refusal-cases.ts";
import { openTinyModel } from "../fixtures/lora/tiny-models.ts";

let folder: string;
let base: BaseDescription;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lora-refusals-"));
  ({ base } = await openTinyModel("sdxl"));
});

afterAll(() => rm(folder, { recursive: true }));

async function write({ content }: RefusedFile): Promise<string> {
  const path = join(folder, `refused.safetensors`);
  if (content instanceof Uint8Array) {
    await writeFile(path, content);
    return path;
  }
  const sources = Object.entries(content).map(([name, shape]) => {
    const bytes = fromFloat32(new Float32Array(elementCount(shape)).fill(1), "F32");
    return { name, shape, dtype: "F32", chunks: () => [bytes] };
  });
  await writeSafetensors(path, sources, {});
  return path;
}

async function reportOf(path: string): Promise<DeltaReport> {
  const lora = await LoraFile.open(path);
  try {
    return (await prepareDelta(lora, base)).report;
  } finally {
    await lora.close();
  }
}

describe.each(REFUSALS.map(({ what, files }) => [what, files] as const))("%s", (_, files) => {
  it.each(files)("$name", async (file) => {
    const found = reportOf(await write(file));
    const { expected } = file;
    if ("code" in expected) {
      await expect(found).rejects.toMatchObject({ code: expected.code, message: expect.stringMatching(expected.message) as string });
      return;
    }
    const { matched, unmatched } = await found;
    expect(matched, "the rest is applied").toHaveLength(1);
    expect(unmatched.map(({ reason }) => reason).join("\n")).toMatch(expected.reported);
  });
});
