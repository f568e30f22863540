import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import folders from "../fixtures/models/folders.json" with { type: "json" };
import { writeSparseFile, type Shapes } from "../fixtures/models/sparse-file.ts";
import type { Checkpoint } from "../../src/models/checkpoint.ts";
import { modelConfigurationSchema } from "../../src/models/configuration-schema.ts";
import { openCheckpoint } from "../../src/models/open-checkpoint.ts";

const EMOJI_XL = fileURLToPath(new URL("../../demo/emoji-xl/emoji-xl.safetensors", import.meta.url));

type Files = Record<string, unknown>;

let temporary: string;
beforeAll(async () => {
  temporary = await mkdtemp(join(tmpdir(), "models-checkpoint-"));
});
afterAll(() => rm(temporary, { recursive: true, force: true }));

/** Writes a folder of JSON files and of safetensors files with given shapes. */
async function writeFolder(files: Files): Promise<string> {
  const folder = await mkdtemp(join(temporary, "folder-"));
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    if (name.endsWith(".safetensors")) await writeSparseFile(path, content as Shapes);
    else await writeFile(path, JSON.stringify(content));
  }
  return folder;
}

async function writeSingleFile(shapes: Shapes, metadata: Readonly<Record<string, string>> = {}): Promise<string> {
  const path = join(await mkdtemp(join(temporary, "file-")), "model.safetensors");
  await writeSparseFile(path, shapes, { metadata });
  return path;
}

/** Names and shapes of all weights, or of some components. */
function shapesOf({ components }: Checkpoint, only: readonly string[] = [...components.keys()]): Record<string, readonly number[]> {
  const tables = [...components].filter(([component]) => only.includes(component)).map(([, table]) => table);
  return Object.fromEntries(tables.flatMap((table) => [...table].map(([name, { shape }]) => [name, shape])));
}

function tensorCount(files: Files): number {
  return Object.entries(files)
    .filter(([name]) => name.endsWith(".safetensors"))
    .reduce((sum, [, tensors]) => sum + Object.keys(tensors as object).length, 0);
}

const UNET_FILE = "unet/diffusion_pytorch_model.safetensors";

describe("diffusers folders", () => {
  test.each([
    {
      name: "sd1" as const,
      components: ["unet", "text_encoder", "vae_encoder", "vae_decoder"],
      configuration: { unet: { heads: { count: 8 } }, prediction: "epsilon", zeroTerminalSnr: false, vae: { scale: 0.25, factor: 2 } },
      encoders: [
        {
          component: "text_encoder",
          activation: "quick_gelu",
          heads: 2,
          layers: 2,
          padToken: 49407,
          hiddenState: "last",
          projectionWidth: 0,
        },
      ],
    },
    {
      name: "sd2" as const,
      components: ["unet", "text_encoder", "vae_encoder", "vae_decoder"],
      configuration: { unet: { heads: { width: 16 } }, prediction: "v_prediction", zeroTerminalSnr: true },
      encoders: [
        { component: "text_encoder", activation: "gelu", heads: 2, layers: 2, padToken: 0, hiddenState: "last", projectionWidth: 0 },
      ],
    },
    {
      name: "sdxl" as const,
      components: ["unet", "text_encoder", "text_encoder_2", "vae_encoder", "vae_decoder"],
      configuration: { unet: { heads: { width: 16 }, contextWidth: 64, admWidth: 1584 }, prediction: "epsilon" },
      encoders: [
        { component: "text_encoder", activation: "quick_gelu", hiddenState: "penultimate", projectionWidth: 0 },
        { component: "text_encoder_2", activation: "gelu", layers: 3, hiddenState: "penultimate", projectionWidth: 48, padToken: 0 },
      ],
    },
    {
      name: "sdxl-refiner" as const,
      components: ["unet", "text_encoder_2", "vae_encoder", "vae_decoder"],
      configuration: { unet: { heads: { width: 16 }, contextWidth: 32 }, prediction: "epsilon" },
      encoders: [{ component: "text_encoder_2", activation: "gelu", hiddenState: "penultimate", projectionWidth: 48 }],
    },
  ])("$name: every tensor has its place", async ({ name, components, configuration, encoders }) => {
    const path = await writeFolder(folders[name]);
    const checkpoint = await openCheckpoint(path);
    expect(checkpoint).toMatchObject({ path, layout: "diffusers", architecture: name, configuration, unused: [] });
    expect(checkpoint.configuration.textEncoders).toMatchObject(encoders);
    expect([...checkpoint.components.keys()]).toEqual(components);
    const listed = [...checkpoint.components.values()].reduce((sum, table) => sum + table.size, 0);
    expect(listed).toBe(tensorCount(folders[name]));
    expect(checkpoint.files).toHaveLength(Object.keys(folders[name]).filter((file) => file.endsWith(".safetensors")).length);
  });

  test("weights stand where the file's header says", async () => {
    const path = await writeFolder(folders.sd1);
    const first = (await openCheckpoint(path)).components.get("unet")!.get("model.diffusion_model.input_blocks.0.0.weight")!;
    expect(first).toMatchObject({ dtype: "F32", shape: [32, 4, 3, 3], file: join(path, UNET_FILE), length: 4 * 32 * 4 * 9 });
    const before = Object.entries(folders.sd1[UNET_FILE]).slice(0, Object.keys(folders.sd1[UNET_FILE]).indexOf("conv_in.weight"));
    const bytes = before.reduce((sum, [, shape]) => sum + shape.reduce((product, size) => product * size, 4), 0);
    const header = first.offset - bytes;
    expect(header % 8).toBe(0);
    expect(header).toBeGreaterThan(8);
  });

  test("older text encoder files, whose keys begin with text_model.", async () => {
    const file = "text_encoder/model.safetensors";
    const older = Object.fromEntries(Object.entries(folders.sd1[file]).map(([name, shape]) => [`text_model.${name}`, shape]));
    const path = await writeFolder({ ...folders.sd1, [file]: { ...older, "text_model.embeddings.position_ids": [1, 77] } });
    const checkpoint = await openCheckpoint(path);
    expect(shapesOf(checkpoint)).toEqual(shapesOf(await openCheckpoint(await writeFolder(folders.sd1))));
    expect(checkpoint.unused.map(({ name }) => name)).toEqual(["cond_stage_model.transformer.text_model.embeddings.position_ids"]);
  });

  const unet = Object.entries(folders.sd1[UNET_FILE]);
  const halves = [Object.fromEntries(unet.slice(0, 100)), Object.fromEntries(unet.slice(100))];
  const weightMap = Object.fromEntries(
    unet.map(([name], index) => [name, `diffusion_pytorch_model-0000${index < 100 ? 1 : 2}-of-00002.safetensors`]),
  );
  const { [UNET_FILE]: _, ...withoutUNet } = folders.sd1 as Files;

  test.each<[string, Files, readonly string[]]>([
    [
      "a variant alone",
      { "unet/diffusion_pytorch_model.fp16.safetensors": Object.fromEntries(unet) },
      ["diffusion_pytorch_model.fp16.safetensors"],
    ],
    [
      "a variant beside the usual file",
      { [UNET_FILE]: Object.fromEntries(unet), "unet/diffusion_pytorch_model.fp16.safetensors": {} },
      ["diffusion_pytorch_model.safetensors"],
    ],
    [
      "shards",
      {
        "unet/diffusion_pytorch_model.safetensors.index.json": { metadata: {}, weight_map: weightMap },
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors": halves[0],
        "unet/diffusion_pytorch_model-00002-of-00002.safetensors": halves[1],
      },
      ["diffusion_pytorch_model-00001-of-00002.safetensors", "diffusion_pytorch_model-00002-of-00002.safetensors"],
    ],
    [
      "shards of a variant",
      {
        "unet/diffusion_pytorch_model.safetensors.index.fp16.json": { weight_map: weightMap },
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors": halves[0],
        "unet/diffusion_pytorch_model-00002-of-00002.safetensors": halves[1],
      },
      ["diffusion_pytorch_model-00001-of-00002.safetensors", "diffusion_pytorch_model-00002-of-00002.safetensors"],
    ],
  ])("%s", async (_name, files, expected) => {
    const path = await writeFolder({ ...withoutUNet, ...files });
    const checkpoint = await openCheckpoint(path);
    const used = new Set([...checkpoint.components.get("unet")!.values()].map(({ file }) => file));
    expect([...used].toSorted()).toEqual(expected.map((file) => join(path, "unet", file)));
  });

  const index = folders.sd1["model_index.json"];
  const unetConfiguration = folders.sd1["unet/config.json"];
  test.each<[string, Files, string, RegExp]>([
    ["no weights", withoutUNet, "checkpoint.incomplete", /unet has no diffusion_pytorch_model\.safetensors\. Download the folder again/],
    [
      "pickles only",
      { ...withoutUNet, "unet/diffusion_pytorch_model.bin": 0 },
      "file.pickle",
      /diffusion_pytorch_model\.bin is a PyTorch pickle.*Get the \.safetensors version\.$/,
    ],
    [
      "an index that leaves the folder",
      { ...withoutUNet, "unet/diffusion_pytorch_model.safetensors.index.json": { weight_map: { a: "../../secret.safetensors" } } },
      "file.invalid",
      /names "\.\.\/\.\.\/secret\.safetensors", which is no safetensors file in its own folder/,
    ],
    [
      "an index without a map",
      { ...withoutUNet, "unet/diffusion_pytorch_model.safetensors.index.json": [] },
      "file.invalid",
      /has no "weight_map"/,
    ],
    ["no model_index.json", { [UNET_FILE]: {} }, "checkpoint.unsupported", /is a folder without model_index\.json/],
    [
      "another pipeline",
      { "model_index.json": { _class_name: "AudioLDMPipeline", vocoder: ["transformers", "SpeechT5HifiGan"] } },
      "checkpoint.unsupported",
      /its keys are those of diffusers' AudioLDMPipeline, which is not supported; supported are Stable Diffusion 1\.x/,
    ],
    [
      "Flux",
      {
        "model_index.json": { _class_name: "FluxPipeline", transformer: ["diffusers", "FluxTransformer2DModel"] },
        "transformer/diffusion_pytorch_model.safetensors": { "single_transformer_blocks.0.proj_mlp.weight": [4, 4] },
      },
      "checkpoint.unsupported",
      /Flux is recognised but not supported yet/,
    ],
    [
      "a schedule that is not scaled linear",
      { ...folders.sd1, "scheduler/scheduler_config.json": { beta_schedule: "squaredcos_cap_v2" } },
      "checkpoint.unsupported",
      /scheduler_config\.json: "beta_schedule" is not supported as it is/,
    ],
    [
      "a UNet with a class embedding",
      { ...folders.sd1, "unet/config.json": { ...unetConfiguration, class_embed_type: "timestep" } },
      "checkpoint.unsupported",
      /config\.json: "class_embed_type" is not supported/,
    ],
    [
      "heads that fit nothing",
      { ...folders.sd1, "unet/config.json": { ...unetConfiguration, attention_head_dim: [3, 5] } },
      "checkpoint.unsupported",
      /attention_head_dim \[3, 5\] gives heads neither of one count nor of one width/,
    ],
  ])("refused: %s", async (_name, files, code, message) => {
    await expect(openCheckpoint(await writeFolder(files))).rejects.toMatchObject({
      name: "UserError",
      code,
      message: expect.stringMatching(message),
    });
  });

  test("a missing text encoder or VAE is no error", async () => {
    const { "text_encoder/model.safetensors": __, "text_encoder/config.json": ___, ...rest } = folders.sd1 as Files;
    const checkpoint = await openCheckpoint(await writeFolder({ ...rest, "model_index.json": { ...index, vae: [null, null] } }));
    expect([...checkpoint.components.keys()]).toEqual(["unet"]);
    expect(checkpoint.configuration).toMatchObject({ textEncoders: [] });
    expect(checkpoint.configuration).not.toHaveProperty("vae");
  });
});

describe("single files", () => {
  test("emoji-xl, a narrow SDXL", async () => {
    const checkpoint = await openCheckpoint(EMOJI_XL);
    expect(checkpoint).toMatchObject({
      layout: "single-file",
      architecture: "sdxl",
      files: [EMOJI_XL],
      configuration: {
        unet: { modelChannels: 64, contextWidth: 128, admWidth: 1664, heads: { width: 64 }, linearProjections: true },
        textEncoders: [
          { layout: "transformers", width: 64, layers: 3, heads: 1, activation: "quick_gelu", padToken: 49407, projectionWidth: 0 },
          { layout: "openclip", width: 64, layers: 10, heads: 1, activation: "gelu", padToken: 0, projectionWidth: 128 },
        ],
        vae: { latentChannels: 4, factor: 8, scale: 0.13025, shift: 0 },
        prediction: "epsilon",
        betaStart: 0.00085,
        betaEnd: 0.012,
        zeroTerminalSnr: false,
      },
    });
    expect(checkpoint.configuration.unet!.levels.map(({ width, down }) => [width, ...down])).toEqual([
      [64, 0, 0],
      [128, 1, 1],
      [64, 2, 2],
    ]);
    const listed = [...checkpoint.components.values()].reduce((sum, table) => sum + table.size, 0);
    expect(listed + checkpoint.unused.length).toBe(1047);
    expect(checkpoint.unused.map(({ name }) => name).toSorted()).toEqual([
      "conditioner.embedders.0.transformer.text_model.embeddings.position_ids",
      "conditioner.embedders.1.model.logit_scale",
    ]);
  });

  test("a configuration comes back from JSON as it was", async () => {
    const { configuration } = await openCheckpoint(EMOJI_XL);
    expect(modelConfigurationSchema.parse(JSON.parse(JSON.stringify(configuration)))).toEqual(configuration);
    expect(modelConfigurationSchema.safeParse({ ...configuration, prediction: "flow" }).success).toBe(false);
  });

  const UNET = "model.diffusion_model.";
  const rename = (shapes: Shapes, from: string, to: string): Shapes =>
    Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name.startsWith(from) ? to + name.slice(from.length) : name, shape]));

  test.each<[string, (usual: Shapes) => Shapes]>([
    ["keys without a start", (usual) => rename(usual, UNET, "")],
    ["ComfyUI's start", (usual) => rename(usual, UNET, "diffusion_model.")],
    ["diffusers' names", () => folders.sd1[UNET_FILE]],
  ])("a UNet alone: %s", async (_name, change) => {
    const folder = await openCheckpoint(await writeFolder(folders.sd1));
    const usual = shapesOf(folder, ["unet"]);
    const checkpoint = await openCheckpoint(await writeSingleFile(change(usual)));
    expect(shapesOf(checkpoint)).toEqual(usual);
    expect([...checkpoint.components.keys()]).toEqual(["unet"]);
    expect(checkpoint.architecture).toBe("sd1");
    expect(checkpoint.configuration.unet).toEqual(folder.configuration.unet);
  });

  test("text encoder keys without text_model., VAE keys that begin with vae.", async () => {
    const { components } = await openCheckpoint(EMOJI_XL);
    const usual = shapesOf(await openCheckpoint(EMOJI_XL));
    const start = "conditioner.embedders.0.transformer.";
    const changed = rename(rename(usual, `${start}text_model.`, start), "first_stage_model.", "vae.");
    const checkpoint = await openCheckpoint(await writeSingleFile(changed));
    expect([...checkpoint.components.keys()]).toEqual([...components.keys()]);
    expect(shapesOf(checkpoint)).toEqual(usual);
  });

  test("a VAE of one half", async () => {
    const usual = shapesOf(await openCheckpoint(EMOJI_XL), ["unet", "vae_decoder"]);
    const checkpoint = await openCheckpoint(await writeSingleFile(usual));
    expect([...checkpoint.components.keys()]).toEqual(["unet", "vae_decoder"]);
    expect(checkpoint.configuration.vae).toMatchObject({ latentChannels: 4, factor: 8 });
  });

  test.each([
    ["model_ema.diffusion_modelinput_blocks00weight", "a copy of the weights, averaged over the training (EMA)"],
    ["alphas_cumprod", "the noise schedule, which is computed instead"],
    ["sqrt_one_minus_alphas_cumprod", "the noise schedule, which is computed instead"],
    ["first_stage_model.loss.discriminator.main.0.weight", "used in the VAE's training only"],
    ["ztsnr", "a mark that says how the model was trained"],
    ["model.diffusion_model.extra.weight", "no SDXL network uses it"],
    ["something.else", "no SDXL network uses it"],
  ])("unused: %s", async (name, reason) => {
    const usual = shapesOf(await openCheckpoint(EMOJI_XL), ["unet"]);
    const checkpoint = await openCheckpoint(await writeSingleFile({ ...usual, [name]: [1] }));
    expect(checkpoint.unused).toEqual([{ name, reason }]);
  });

  const block = `${UNET}output_blocks.8.0.out_layers.3.weight`;
  test.each<[string, string, (usual: Record<string, readonly number[]>) => void, string, RegExp]>([
    [
      "a weight is missing",
      "unet",
      (usual) => delete usual[block],
      "checkpoint.incomplete",
      /lacks "model\.diffusion_model\.output_blocks\.8\.0\.out_layers\.3\.weight", which its SDXL UNet needs: the file is incomplete\.$/,
    ],
    [
      "a weight has another shape",
      "unet",
      (usual) => (usual[block] = [64, 63, 3, 3]),
      "checkpoint.incomplete",
      /has shape \[64, 63, 3, 3\] where its SDXL UNet needs \[64, 64, 3, 3\]/,
    ],
    [
      "a weight has no dimensions",
      "unet",
      (usual) => (usual[`${UNET}out.2.weight`] = []),
      "checkpoint.incomplete",
      /out\.2\.weight" has the impossible shape \[\]/,
    ],
    [
      "a text encoder's layer is missing",
      "text_encoder_2",
      (usual) => delete usual["conditioner.embedders.1.model.transformer.resblocks.5.mlp.c_fc.weight"],
      "checkpoint.incomplete",
      /"conditioner\.embedders\.1\.model\.transformer\.resblocks\.5\..*" has no place in SDXL: weights next to it are missing/,
    ],
    [
      "a text encoder's bias is missing",
      "text_encoder",
      (usual) => delete usual["conditioner.embedders.0.transformer.text_model.encoder.layers.1.mlp.fc2.bias"],
      "checkpoint.incomplete",
      /lacks "conditioner\.embedders\.0\.transformer\.text_model\.encoder\.layers\.1\.mlp\.fc2\.bias", which its text encoder \(text_encoder\) needs/,
    ],
    [
      "a VAE's weight is missing",
      "vae_decoder",
      (usual) => delete usual["first_stage_model.decoder.norm_out.bias"],
      "checkpoint.incomplete",
      /which its VAE's decoder needs/,
    ],
  ])("refused: %s", async (_name, component, change, code, message) => {
    const usual = shapesOf(await openCheckpoint(EMOJI_XL), ["unet", component]);
    change(usual);
    const path = await writeSingleFile(usual);
    await expect(openCheckpoint(path)).rejects.toMatchObject({ name: "UserError", code, message: expect.stringMatching(message) });
  });

  test.each([
    [
      "SDXL's UNet and SD1.x's text encoder",
      EMOJI_XL,
      "cond_stage_model.transformer.text_model.",
      /"cond_stage_model.*" does not belong to its UNet, which is SDXL's/,
    ],
    [
      "an encoder of another width",
      undefined,
      "cond_stage_model.transformer.text_model.",
      /its text encoders give 64 numbers a token, its UNet takes 32: the parts/,
    ],
  ])("refused: %s", async (_name, unetFile, place, message) => {
    const unet = shapesOf(await openCheckpoint(unetFile ?? (await writeFolder(folders.sd1))), ["unet"]);
    const encoder = shapesOf(await openCheckpoint(EMOJI_XL), ["text_encoder"]);
    const path = await writeSingleFile({ ...unet, ...rename(encoder, "conditioner.embedders.0.transformer.text_model.", place) });
    await expect(openCheckpoint(path)).rejects.toMatchObject({ code: "checkpoint.unsupported", message: expect.stringMatching(message) });
  });

  test("a path that does not exist", async () => {
    await expect(openCheckpoint(join(temporary, "none.safetensors"))).rejects.toMatchObject({ name: "UserError", code: "file.missing" });
  });
});
