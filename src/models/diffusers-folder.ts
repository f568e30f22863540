import { access } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../formats/errors.ts";
import { SafetensorsFile, type TensorEntry } from "../formats/safetensors.ts";
import type { Weight } from "./checkpoint.ts";
import { readModelIndex, readScheduler, readTextEncoder, readUNetHeads, readVae } from "./diffusers-configuration.ts";
import { componentFiles } from "./diffusers-files.ts";
import { recognise } from "./recognition.ts";
import { refusal } from "./refusal.ts";
import { reasonNotWeight } from "./single-file-names.ts";
import { weightOf } from "./single-file.ts";
import { TensorShapes } from "./tensor-shapes.ts";
import { renameUNet } from "./unet-rename.ts";
import { unetStructureFromDiffusers } from "./unet-structure.ts";
import { vaeDiffusersToLdm } from "./vae-names.ts";
import type { DeclaredTextEncoder, WeightCollection } from "./weight-collection.ts";

interface LocatedEntry extends TensorEntry {
  readonly file: string;
}

interface Collecting {
  readonly path: string;
  readonly weights: Map<string, Weight>;
  readonly unused: { name: string; reason: string }[];
}

/** Lists the weights of a folder in the layout of diffusers' `save_pretrained`, under single-file names. */
export async function collectDiffusersFolder(path: string): Promise<WeightCollection> {
  const index = join(path, "model_index.json");
  if (!(await exists(index))) {
    throw new UserError("checkpoint.unsupported", `${path} is a folder without model_index.json: not a checkpoint in diffusers' layout.`);
  }
  const { pipeline, components } = await readModelIndex(index);
  if (!components.has("unet")) throw await refuseOther(path, pipeline, components);

  const collecting: Collecting = { path, weights: new Map(), unused: [] };
  const { heads: unetHeads, isSdxl } = await collectUNet(collecting);
  const textEncoders = await collectTextEncoders(collecting, components, isSdxl);
  const vae = components.has("vae") && (await exists(join(path, "vae"))) ? await collectVae(collecting) : undefined;
  const scheduler = join(path, "scheduler", "scheduler_config.json");
  const training = (await exists(scheduler)) ? await readScheduler(scheduler) : {};
  return { ...collecting, layout: "diffusers", declared: { ...training, unetHeads, textEncoders, vae } };
}

async function collectUNet(collecting: Collecting) {
  const folder = join(collecting.path, "unet");
  const tensors = await readHeaders(folder, "diffusion_pytorch_model");
  const known = recognise(tensors.keys(), new Map());
  if (known) throw refusal(collecting.path, known);
  const shapes = new TensorShapes(folder, tensors);
  add(collecting, tensors, renameUNet(shapes));
  const structure = unetStructureFromDiffusers(shapes);
  return { heads: await readUNetHeads(join(folder, "config.json"), structure), isSdxl: structure.admWidth > 0 };
}

/** SDXL has both encoders, its refiner only the one called text_encoder_2; earlier models only text_encoder. */
async function collectTextEncoders(collecting: Collecting, components: ReadonlySet<string>, isSdxl: boolean) {
  const declared = new Map<string, DeclaredTextEncoder>();
  const present: DeclaredTextEncoder["component"][] = [];
  for (const component of ["text_encoder", "text_encoder_2"] as const) {
    if (components.has(component) && (await exists(join(collecting.path, component)))) present.push(component);
  }
  for (const component of present) {
    const start = isSdxl ? sdxlEncoderStart(component, components) : "cond_stage_model.transformer.";
    const folder = join(collecting.path, component);
    declared.set(`${start}text_model.`, { component, ...(await readTextEncoder(join(folder, "config.json"))) });
    // transformers 5 saves a CLIPTextModel without "text_model." before its keys.
    add(
      collecting,
      await readHeaders(folder, "model"),
      (name) => start + name.replace(/^(?=(embeddings|encoder|final_layer_norm)\.)/, "text_model."),
    );
  }
  return declared;
}

function sdxlEncoderStart(component: DeclaredTextEncoder["component"], components: ReadonlySet<string>): string {
  const isSecond = component === "text_encoder_2" && components.has("text_encoder");
  return `conditioner.embedders.${isSecond ? 1 : 0}.transformer.`;
}

async function collectVae(collecting: Collecting) {
  const folder = join(collecting.path, "vae");
  const tensors = await readHeaders(folder, "diffusion_pytorch_model");
  const levels = new TensorShapes(folder, tensors).count("decoder.up_blocks.", ".resnets.0.norm1.weight");
  add(collecting, tensors, (name) => vaeDiffusersToLdm(name, levels) ?? `vae/${name}`);
  return readVae(join(folder, "config.json"));
}

async function readHeaders(folder: string, stem: string): Promise<Map<string, LocatedEntry>> {
  const tensors = new Map<string, LocatedEntry>();
  for (const path of await componentFiles(folder, stem)) {
    const file = await SafetensorsFile.open(path);
    await file.close();
    for (const [name, entry] of file.tensors) tensors.set(name, { ...entry, file: path });
  }
  return tensors;
}

function add({ weights, unused }: Collecting, tensors: ReadonlyMap<string, LocatedEntry>, rename: (name: string) => string): void {
  for (const entry of tensors.values()) {
    const reason = reasonNotWeight(entry.name);
    const name = rename(entry.name);
    if (reason !== undefined) unused.push({ name, reason });
    else weights.set(name, weightOf(entry, name, entry.file));
  }
}

/** A pipeline without a UNet: its transformer's keys say what it is, else its class does. */
async function refuseOther(path: string, pipeline: string, components: ReadonlySet<string>): Promise<UserError> {
  if (components.has("transformer") && (await exists(join(path, "transformer")))) {
    const tensors = await readHeaders(join(path, "transformer"), "diffusion_pytorch_model");
    const known = recognise(tensors.keys(), new Map());
    if (known) return refusal(path, known);
  }
  return refusal(path, { kind: "other", label: `diffusers' ${pipeline}` });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
