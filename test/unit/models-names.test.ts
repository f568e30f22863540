import { describe, expect, test } from "vitest";
import openClip from "../fixtures/models/open-clip.json" with { type: "json" };
import textEncoderParameters from "../fixtures/models/text-encoders.json" with { type: "json" };
import unets from "../fixtures/models/unets.json" with { type: "json" };
import vae from "../fixtures/models/vae.json" with { type: "json" };
import type { Component } from "../../src/models/architecture.ts";
import type { Checkpoint } from "../../src/models/checkpoint.ts";
import type { TextEncoderConfiguration } from "../../src/models/configuration.ts";
import { describeCheckpoint } from "../../src/models/full-size.ts";
import { TensorShapes } from "../../src/models/tensor-shapes.ts";
import { textEncoderModules } from "../../src/models/text-encoder-names.ts";
import { unetDiffusersToLdm } from "../../src/models/unet-names.ts";
import { unetShapes } from "../../src/models/unet-shapes.ts";
import { unetStructureFromDiffusers, unetStructureFromLdm } from "../../src/models/unet-structure.ts";
import { vaeDiffusersToLdm } from "../../src/models/vae-names.ts";

type Module = readonly [diffusers: string, ldm: string, shape: readonly number[], hasBias: boolean];

/** A network's tensors, by the names that one column of the fixture has. */
function tensors(modules: readonly Module[], column: 0 | 1): Map<string, { shape: readonly number[] }> {
  const found = new Map<string, { shape: readonly number[] }>();
  for (const module of modules) {
    const [, , shape, hasBias] = module;
    found.set(`${module[column]}.weight`, { shape });
    if (hasBias) found.set(`${module[column]}.bias`, { shape: [shape[0]!] });
  }
  return found;
}

function sorted<Value>(entries: Iterable<readonly [string, Value]>): (readonly [string, Value])[] {
  return [...entries].toSorted(([left], [right]) => (left < right ? -1 : 1));
}

describe.each(Object.entries(unets))("UNet %s", (_name, fixture) => {
  const modules = fixture.modules as unknown as Module[];
  const fromDiffusers = unetStructureFromDiffusers(new TensorShapes("diffusers", tensors(modules, 0)));
  const fromLdm = unetStructureFromLdm(new TensorShapes("single file", tensors(modules, 1)));

  test("has the same structure in both namings", () => {
    expect(fromLdm).toEqual(fromDiffusers);
  });

  test("names every module as diffusers' conversion does", () => {
    expect(sorted(unetDiffusersToLdm(fromDiffusers))).toEqual(sorted(modules.map(([diffusers, ldm]) => [diffusers, ldm] as const)));
  });

  test("has the shapes of diffusers' network, and its parameter count", () => {
    const shapes = unetShapes(fromLdm);
    expect(sorted(shapes)).toEqual(sorted([...tensors(modules, 1)].map(([name, { shape }]) => [name, shape] as const)));
    const count = [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((product, size) => product * size, 1), 0);
    expect(count).toBe(fixture.parameters);
  });
});

describe("full-size checkpoints", () => {
  const parameters = (checkpoint: Checkpoint, component: Component) =>
    [...checkpoint.components.get(component)!.values()].reduce((sum, { length }) => sum + length / 2, 0);

  test.each([
    ["sd1", 859_520_964, { text_encoder: textEncoderParameters["clip-l"] }],
    ["sd2", 865_910_724, { text_encoder: textEncoderParameters["openclip-h"] }],
    ["sdxl", 2_567_463_684, { text_encoder: textEncoderParameters["clip-l"], text_encoder_2: textEncoderParameters["openclip-bigg"] }],
    ["sdxl-refiner", unets["sdxl-refiner"].parameters, { text_encoder_2: textEncoderParameters["openclip-bigg"] }],
  ] as const)("%s has the published parameter counts", (architecture, unet, textEncoders) => {
    const checkpoint = describeCheckpoint(architecture);
    expect(checkpoint.architecture).toBe(architecture);
    const expected = { unet, ...textEncoders, ...vae.parameters };
    const found = Object.fromEntries([...checkpoint.components.keys()].map((component) => [component, parameters(checkpoint, component)]));
    expect(found).toEqual(expected);
  });

  test.each(["sd1", "sd2", "sdxl", "sdxl-refiner"] as const)("%s has diffusers' UNet tensors", (architecture) => {
    const described = [...describeCheckpoint(architecture).components.get("unet")!].map(([name, { shape }]) => [name, shape] as const);
    const published = [...tensors(unets[architecture].modules as unknown as Module[], 1)].map(
      ([name, { shape }]) => [name, shape] as const,
    );
    expect(sorted(described)).toEqual(sorted(published));
  });

  test("inpainting adds five input channels", () => {
    const weights = describeCheckpoint("sdxl", { inpainting: true, dtype: "F32", components: ["text_encoder"] });
    const first = weights.components.get("unet")!.get("model.diffusion_model.input_blocks.0.0.weight")!;
    expect(first).toMatchObject({ dtype: "F32", shape: [320, 9, 3, 3], length: 4 * 320 * 9 * 9 });
    expect([...weights.components.keys()]).toEqual(["unet", "text_encoder"]);
  });
});

describe("VAE", () => {
  test("names every tensor as diffusers' conversion does", () => {
    const names = Object.keys(vae.names).map((name) => [name, vaeDiffusersToLdm(name, 4)]);
    expect(Object.fromEntries(names)).toEqual(vae.names);
  });

  test.each([
    ["decoder.mid_block.attentions.0.query.weight", "first_stage_model.decoder.mid.attn_1.q.weight"],
    ["encoder.mid_block.attentions.0.proj_attn.bias", "first_stage_model.encoder.mid.attn_1.proj_out.bias"],
    ["encoder.time_conv_out.weight", undefined],
    ["decoder.up_blocks.0.resnets.0.time_emb_proj.weight", undefined],
  ])("%s is %s", (name, expected) => {
    expect(vaeDiffusersToLdm(name, 4)).toBe(expected);
  });
});

describe("text encoders", () => {
  const encoder: TextEncoderConfiguration = {
    component: "text_encoder_2",
    layout: "openclip",
    prefix: "conditioner.embedders.1.model.",
    width: 64,
    layers: 10,
    heads: 1,
    tokens: 77,
    activation: "gelu",
    projectionWidth: 128,
    padToken: 0,
    hiddenState: "penultimate",
  };
  type Source = readonly [name: string, row: number, rows: number, transposed: boolean];

  test("OpenCLIP's weights are found where diffusers' conversion takes them from", () => {
    const found = new Map<string, Partial<Record<"weight" | "bias", string>> & { row: number; transposed: boolean }>();
    for (const [tensor, [name, row, , transposed]] of Object.entries(openClip) as unknown as [string, Source][]) {
      const [, module, kind] = /^(.+)\.(weight|bias)$/.exec(tensor) as unknown as [string, string, "weight" | "bias"];
      found.set(module, { ...found.get(module), [kind]: name, row, transposed });
    }
    const ours = [...textEncoderModules(encoder)].map(([module, { weight, bias, rows, transposed }]) => {
      return [module, { weight, ...(bias ? { bias } : {}), row: rows?.start ?? 0, transposed: transposed ?? false }] as const;
    });
    expect(sorted(ours)).toEqual(sorted(found));
  });

  test("a fused projection's parts are as long as the width", () => {
    const modules = textEncoderModules(encoder);
    const rows = ["q_proj", "k_proj", "v_proj"].map((name) => modules.get(`text_model.encoder.layers.9.self_attn.${name}`)!.rows);
    expect(rows).toEqual([
      { start: 0, end: 64 },
      { start: 64, end: 128 },
      { start: 128, end: 192 },
    ]);
  });

  test("transformers' layout keeps its names below the prefix", () => {
    const prefix = "conditioner.embedders.1.transformer.text_model.";
    const modules = textEncoderModules({ ...encoder, layout: "transformers", prefix });
    expect(new Set(modules.keys())).toEqual(new Set(textEncoderModules(encoder).keys()));
    for (const [module, { weight, rows }] of modules) {
      expect(weight).toBe(`conditioner.embedders.1.transformer.${module}.weight`);
      expect(rows).toBeUndefined();
    }
  });

  test("without a projection there is no text_projection", () => {
    expect(textEncoderModules({ ...encoder, projectionWidth: 0 }).has("text_projection")).toBe(false);
  });
});
