import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { changeTensor, writeDeltaFile, type ChangeSource } from "../../src/formats/delta-writer.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import type { BaseDescription } from "../../src/lora/base.ts";
import { convertVersion1 } from "../../src/lora/convert-version-1.ts";
import { loadAdapter } from "../../src/lora/load-adapter.ts";
import { LoraFile } from "../../src/lora/lora-file.ts";
import { prepareDelta, writeDelta } from "../../src/lora/make-delta.ts";
import { readDelta, type BaseReader } from "../../src/lora/read-delta.ts";
import { FOLDER, openTinyModel } from "../fixtures/lora/tiny-models.ts";

const LORA = join(FOLDER, "sdxl-alpha-kohya-ldm.safetensors");
const PROJ_IN = "model.diffusion_model.input_blocks.3.1.proj_in.weight";

let folder: string;
let base: BaseDescription;
let weights: ReadonlyMap<string, Float32Array>;
const readBase: BaseReader = (name) => Promise.resolve(weights.get(name)!);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lora-delta-"));
  ({ base, weights } = await openTinyModel("sdxl"));
});

afterAll(() => rm(folder, { recursive: true }));

async function deltaOf(lora: string, name: string, strength = 1): Promise<string> {
  const path = join(folder, name);
  const file = await LoraFile.open(lora);
  await writeDelta(await prepareDelta(file, base, strength), path);
  await file.close();
  return path;
}

function metadataFor(fingerprint: string) {
  return { baseEngine: "engine A", baseFingerprint: fingerprint, architecture: "sdxl", loraFile: "x.safetensors", loraStrength: 1 };
}

async function writeChanges(name: string, changes: readonly ChangeSource[], fingerprint = base.fingerprint): Promise<string> {
  const path = join(folder, name);
  await writeDeltaFile(path, metadataFor(fingerprint), changes);
  return path;
}

function lowRank(name: string, rows: number, columns: number, value = 1): ChangeSource {
  const up = changeTensor(new Float32Array(rows).fill(value), [rows, 1], "F32");
  return { name, kind: "lowRank", up, down: changeTensor(new Float32Array(columns).fill(1), [1, columns], "F32") };
}

describe("a delta file", () => {
  it("keeps fp16 where the scale needs no rounding, and fp32 elsewhere", async () => {
    const file = await SafetensorsFile.open(await deltaOf(LORA, "dtypes.trt_lora"));
    const lora = await LoraFile.open(LORA);
    const dtypes = { F16: 0, F32: 0 };
    for (const update of lora.updates) {
      if (update.kind !== "lowRank") continue;
      const { module, scale } = update;
      if (!module.startsWith("lora_unet_input_blocks_3_1")) continue;
      const up = Array.from(file.tensors.values()).find(
        ({ name }) => `lora_unet_${name.slice("model.diffusion_model.".length).replaceAll(".", "_")}` === `${module}_weight_lora_up`,
      )!;
      const isPowerOfTwo = Number.isInteger(Math.log2(scale));
      if (!isPowerOfTwo) expect(up.dtype, module).toBe("F32");
      if (scale >= 1 && isPowerOfTwo) expect(up.dtype, module).toBe("F16");
      dtypes[up.dtype as "F16" | "F32"]++;
    }
    expect(Math.min(dtypes.F16, dtypes.F32)).toBeGreaterThan(0);
    for (const { name, dtype } of file.tensors.values()) if (name.endsWith(".lora_down")) expect(dtype).toBe("F16");
    await lora.close();
    await file.close();
  });

  it("puts q, k and v into rows of the fused weight", async () => {
    const file = await SafetensorsFile.open(await deltaOf(LORA, "fused.trt_lora"));
    const name = "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight";
    expect(file.entry(`${name}.lora_up`).shape).toEqual([36, 6]);
    expect(file.entry(`${name}.lora_down`).shape).toEqual([6, 12]);
    const up = await file.readFloat32(`${name}.lora_up`);
    const blocks = Array.from({ length: 9 }, (_, block) => {
      const [rows, columns] = [Math.floor(block / 3) * 12, (block % 3) * 2];
      return Array.from({ length: 24 }, (__, i) => up[(rows + Math.floor(i / 2)) * 6 + columns + (i % 2)]!).some((value) => value !== 0);
    });
    // Each of the three has its own rows and its own ranks, whichever comes first in the file.
    for (const part of [0, 1, 2]) {
      expect(blocks.slice(part * 3, part * 3 + 3).filter(Boolean)).toHaveLength(1);
      expect([blocks[part], blocks[part + 3], blocks[part + 6]].filter(Boolean)).toHaveLength(1);
    }
    await file.close();
  });

  it("of another checkpoint is refused, both named", async () => {
    const path = await writeChanges("other.trt_lora", [lowRank(PROJ_IN, 16, 16)], "a".repeat(64));
    await expect(readDelta(path, base, readBase)).rejects.toMatchObject({
      code: "delta.wrongBase",
      message: expect.stringMatching(/checkpoint of "engine A" \(a{12}…\), not for that of "tiny-sdxl" \(f{12}…\)/),
    });
  });

  it.each<readonly [string, () => ChangeSource, RegExp]>([
    ["an unknown weight", () => lowRank("no.such.weight", 2, 2), /no weight of that name/],
    [
      "another shape",
      () => lowRank("model.diffusion_model.input_blocks.3.1.proj_out.weight", 16, 8),
      /a matrix of 16 × 8, the engine's weight is one of 16 × 16/,
    ],
    ["NaN", () => lowRank("model.diffusion_model.input_blocks.3.1.proj_out.weight", 16, 16, NaN), /NaN or infinite/],
    [
      "a dense change of another shape",
      () => ({ name: "model.diffusion_model.out.2.weight", kind: "dense", values: changeTensor(new Float32Array(4), [2, 2], "F32") }),
      /has shape \[2, 2\]/,
    ],
    [
      "half a LoKr",
      () => ({
        name: "model.diffusion_model.out.2.weight",
        kind: "factors",
        factors: new Map([["lokr_w1", changeTensor(new Float32Array(4), [2, 2], "F32")]]),
      }),
      /its factors are not all there/,
    ],
  ])("reports %s", async (_, change, reason) => {
    const path = await writeChanges("odd.trt_lora", [lowRank(PROJ_IN, 16, 16), change()]);
    const { delta, unmatched } = await readDelta(path, base, readBase);
    expect(Array.from(delta.changes.keys())).toEqual([PROJ_IN]);
    expect(unmatched.map((finding) => finding.reason)).toEqual([expect.stringMatching(reason)]);
    const alone = await writeChanges("alone.trt_lora", [change()]);
    await expect(readDelta(alone, base, readBase)).rejects.toMatchObject({ code: "lora.noChange", message: expect.stringMatching(reason) });
  });

  it("of version 1 holds whole weights: the change is what they differ from the base by", async () => {
    const path = join(folder, "old.trt_lora");
    const values = weights.get(PROJ_IN)!.map((value, index) => value + (index % 3));
    await writeSafetensors(path, [{ name: PROJ_IN, ...changeTensor(values, [16, 16], "F32") }], {});
    const { delta } = await readDelta(path, base, readBase);
    const change = delta.changes.get(PROJ_IN)!;
    expect(change.kind).toBe("dense");
    const found = change.kind === "dense" ? change.values : new Float32Array();
    found.forEach((value, index) => expect(Math.abs(value - (index % 3))).toBeLessThan(1e-6));
  });

  it("of version 1 is converted to version 2, which any scale can be applied of", async () => {
    const path = join(folder, "whole.trt_lora");
    const values = weights.get(PROJ_IN)!.map((value, index) => value + (index % 3) / 4);
    await writeSafetensors(path, [{ name: PROJ_IN, ...changeTensor(values, [16, 16], "F32") }], {});
    const output = join(folder, "converted.trt_lora");
    expect(await convertVersion1(path, output, base, readBase)).toMatchObject({ changed: [PROJ_IN], unmatched: [] });
    const [before, after] = [await readDelta(path, base, readBase), await readDelta(output, base, () => Promise.reject(new Error("no")))];
    expect(after.delta.changes).toEqual(before.delta.changes);
    await expect(convertVersion1(output, join(folder, "again.trt_lora"), base, readBase)).rejects.toMatchObject({ code: "delta.invalid" });
  });

  it("of version 1 made for another checkpoint is told by its values", async () => {
    const path = join(folder, "foreign.trt_lora");
    const other = weights.get(PROJ_IN)!.toReversed();
    await writeSafetensors(path, [{ name: PROJ_IN, ...changeTensor(other, [16, 16], "F32") }], {});
    const { suspicious } = await readDelta(path, base, readBase);
    expect(suspicious).toEqual([{ name: PROJ_IN, reason: expect.stringMatching(/1 of its 1 weights .* another checkpoint/) as string }]);
  });

  it("and its LoRA load alike", async () => {
    const [fromLora, fromDelta] = [
      await loadAdapter(LORA, base, readBase),
      await loadAdapter(await deltaOf(LORA, "same.trt_lora"), base, readBase),
    ];
    expect(fromDelta.delta.changes).toEqual(fromLora.delta.changes);
    expect(fromDelta.delta).toMatchObject({ architecture: "sdxl", strength: 1, loraFile: "sdxl-alpha-kohya-ldm.safetensors" });
    expect(fromLora.report.matched.length).toBeGreaterThan(fromDelta.report.matched.length);
  });

  it("is not left half-written when cancelled", async () => {
    const empty = await mkdtemp(join(folder, "cancel-"));
    const controller = new AbortController();
    const file = await LoraFile.open(LORA);
    const prepared = await prepareDelta(file, base);
    const writing = writeDelta(prepared, join(empty, "x.trt_lora"), { signal: controller.signal, onProgress: () => controller.abort() });
    await expect(writing).rejects.toMatchObject({ code: "cancelled" });
    await expect(prepareDelta(file, base, 1, { signal: controller.signal })).rejects.toMatchObject({ code: "cancelled" });
    await file.close();
    expect(await readdir(empty)).toEqual([]);
  });
});
