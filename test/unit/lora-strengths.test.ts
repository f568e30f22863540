import { describe, expect, it } from "vitest";
import { blockOf, parseBlockWeights } from "../../src/lora/block-weights.ts";
import type { Delta } from "../../src/lora/delta.ts";
import { planStack } from "../../src/lora/stack.ts";
import { parseLoraArgument, stackScales, type LoraStrengths } from "../../src/lora/strengths.ts";
import { extractLoras } from "../../src/pipeline/prompt.ts";

const U = "model.diffusion_model.";
const TEXT = "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight";

describe("a LoRA's argument", () => {
  it.each([
    ["ink.safetensors", { file: "ink.safetensors", scale: 1 }],
    ["ink:0.7", { file: "ink", scale: 0.7 }],
    ["ink:-1e-1", { file: "ink", scale: -0.1 }],
    ["ink:0.7:0.3", { file: "ink", scale: 0.7, textEncoderScale: 0.3 }],
    ["ink:0.7:lbw=ALL", { file: "ink", scale: 0.7, blockWeights: "ALL" }],
    ["ink:0.7:0:lbw=1,0", { file: "ink", scale: 0.7, textEncoderScale: 0, blockWeights: "1,0" }],
    ["ink:lbw=OUTS", { file: "ink", scale: 1, blockWeights: "OUTS" }],
    ["C:\\loras\\ink", { file: "C:\\loras\\ink", scale: 1 }],
    ["C:\\loras\\ink:.5", { file: "C:\\loras\\ink", scale: 0.5 }],
    ["a:b:c", { file: "a:b:c", scale: 1 }],
  ])("%s", (text, expected) => {
    expect(parseLoraArgument(text)).toEqual(expected);
  });

  it("in a prompt has block weights too", () => {
    const { loras, prompt } = extractLoras("a cat <lora:ink:0.8:0.2:lbw=INS><lora:b:lbw=1,2>");
    expect(prompt).toBe("a cat ");
    expect(loras).toEqual([
      { name: "ink", scale: 0.8, textEncoderScale: 0.2, blockWeights: "INS" },
      { name: "b", scale: 1, blockWeights: "1,2" },
    ]);
  });
});

describe("blocks", () => {
  it.each([
    [`${U}input_blocks.0.0.weight`, "IN00"],
    [`${U}input_blocks.11.0.in_layers.2.weight`, "IN11"],
    [`${U}middle_block.1.proj_in.weight`, "M00"],
    [`${U}output_blocks.5.1.proj_in.weight`, "OUT05"],
    [`${U}time_embed.0.weight`, undefined],
    [`${U}out.2.weight`, undefined],
    [TEXT, "BASE"],
  ])("%s", (name, block) => {
    expect(blockOf(name)).toBe(block);
  });

  // Of the README of the WebUI's LoRA Block Weight.
  it.each([
    [12, ["BASE", "IN04", "IN05", "IN07", "IN08", "M00", "OUT00", "OUT01", "OUT02", "OUT03", "OUT04", "OUT05"]],
    [17, "BASE IN01 IN02 IN04 IN05 IN07 IN08 M00 OUT03 OUT04 OUT05 OUT06 OUT07 OUT08 OUT09 OUT10 OUT11".split(" ")],
    [20, "BASE IN00 IN01 IN02 IN03 IN04 IN05 IN06 IN07 IN08 M00 OUT00 OUT01 OUT02 OUT03 OUT04 OUT05 OUT06 OUT07 OUT08".split(" ")],
  ])("of %i values", (count, blocks) => {
    const weights = parseBlockWeights(Array.from({ length: count }, (_, index) => String(index + 1)).join(", "));
    expect(blocks.map((block) => weights.get(block))).toEqual(blocks.map((_, index) => index + 1));
    expect(Array.from(weights.values()).filter((value) => value === 0)).toHaveLength(26 - count);
  });

  it.each([
    ["OUTALL", "BASE OUT03 OUT04 OUT05 OUT06 OUT07 OUT08 OUT09 OUT10 OUT11".split(" ")],
    ["INS", "BASE IN01 IN02 IN04".split(" ")],
    ["MIDD", "BASE IN05 IN07 IN08 M00 OUT03 OUT04 OUT05 OUT06".split(" ")],
  ])("of the preset %s", (preset, blocks) => {
    const weights = parseBlockWeights(preset);
    expect(
      Array.from(weights)
        .filter(([, value]) => value === 1)
        .map(([block]) => block),
    ).toEqual(blocks);
  });

  it("of ALL are all 26", () => {
    expect(new Set(parseBlockWeights("ALL").values())).toEqual(new Set([1]));
  });

  it.each(["", "1,2,3", "all", "1,".repeat(26), "R,1,1,1,1,1,1,1,1,1,1,1", "x".repeat(100_000)])("refuse %j", (text) => {
    expect(() => parseBlockWeights(text)).toThrow(/are no block weights/);
  });
});

describe("a stack entry's scales", () => {
  const change = { kind: "dense", values: new Float32Array(1), shape: [1] } as const;
  const names = [`${U}input_blocks.4.1.proj_in.weight`, `${U}out.2.weight`, TEXT];
  const delta: Delta = {
    file: "a",
    architecture: "sdxl",
    baseFingerprint: "",
    loraFile: "a",
    strength: 1,
    changes: new Map(names.map((name) => [name, { ...change }])),
  };

  it.each<readonly [string, LoraStrengths, readonly number[]]>([
    ["one scale", { scale: 0.5 }, [0.5, 0.5, 0.5]],
    ["another on text encoders", { scale: 0.5, textEncoderScale: 2 }, [0.5, 0.5, 2]],
    ["none on text encoders", { scale: 0.5, textEncoderScale: 0 }, [0.5, 0.5, 0]],
    ["none on the UNet", { scale: 0, textEncoderScale: 2 }, [0, 0, 2]],
    ["blocks", { scale: 2, blockWeights: "0.5,0.25,0,0,0,0,0,0,0,0,0,0" }, [0.5, 2, 1]],
    ["both", { scale: 2, textEncoderScale: 4, blockWeights: "0.5,0.25,0,0,0,0,0,0,0,0,0,0" }, [0.5, 2, 2]],
  ])("%s", (_, strengths, expected) => {
    const { merge } = planStack([], [{ delta, ...stackScales(strengths) }]);
    expect(names.map((name) => merge.find((planned) => planned.name === name)?.terms[0]?.scale ?? 0)).toEqual(expected);
  });
});
