import { UserError } from "../formats/errors.ts";
import { isNumericDtype } from "../formats/numbers.ts";
import { SafetensorsFile, type TensorEntry } from "../formats/safetensors.ts";
import { AdapterConfiguration } from "./adapter-configuration.ts";
import { findIa3Modules, parseLoraKey, type LoraFormat, type LoraKey } from "./lora-keys.ts";
import { moduleUpdates } from "./module-updates.ts";
import type { Finding, LoraUpdate } from "./update.ts";

/** The tensors of one module, by their published names. */
interface ModuleTensors {
  readonly factors: Map<string, TensorEntry>;
  adapter?: string;
  /** The kind of update that is not applied here, where the module has tensors of one. */
  foreign?: string;
}

interface FileContents {
  readonly modules: Map<string, ModuleTensors>;
  readonly formats: Set<LoraFormat>;
  readonly unused: Finding[];
  readonly suspicious: Finding[];
}

/**
 * A LoRA file opened for reading: its modules are known, factors are read on demand. Formats: kohya
 * (https://github.com/kohya-ss/sd-scripts, networks/lora.py and oft.py), LyCORIS (https://github.com/KohakuBlueleaf/LyCORIS),
 * OneTrainer, PEFT (https://github.com/huggingface/peft) and diffusers (`save_lora_weights`, past and present).
 */
export class LoraFile {
  readonly path: string;
  /** The formats its keys are in; nearly always one. */
  readonly formats: readonly LoraFormat[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly updates: readonly LoraUpdate[];
  /** Modules and keys that are no update that can be applied, with the reason. */
  readonly unused: readonly Finding[];
  readonly suspicious: readonly Finding[];
  readonly #file: SafetensorsFile;

  private constructor(file: SafetensorsFile, updates: readonly LoraUpdate[], { formats, unused, suspicious }: FileContents) {
    this.path = file.path;
    this.formats = Array.from(formats);
    this.metadata = file.metadata;
    this.updates = updates;
    this.unused = unused;
    this.suspicious = suspicious;
    this.#file = file;
  }

  /** Throws what `SafetensorsFile.open` throws, and "lora.unsupported" for a file that holds no LoRA that can be applied. */
  static async open(path: string): Promise<LoraFile> {
    const file = await SafetensorsFile.open(path);
    try {
      const contents = groupTensors(file);
      const updates = await readUpdates(file, contents);
      if (updates.length === 0) throw noUpdates(file, contents);
      return new LoraFile(file, updates, contents);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * What a LoRA's header alone says of its updates: all but their scales, which are tensors to be read. For lists, where thousands of
   * files are described. Throws "lora.unsupported" as `open` does.
   */
  static outline(file: SafetensorsFile): readonly LoraUpdate[] {
    const contents = groupTensors(file);
    const updates: LoraUpdate[] = [];
    for (const [module, { factors, foreign }] of contents.modules) {
      if (foreign !== undefined) continue;
      // Which side (IA)³ scales is a number too; that it says so is enough here.
      const onInput = factors.has("on_input") ? { onInput: 0 } : {};
      const found = moduleUpdates({ module, factors, settings: { rankStabilized: false }, isKohyaOft: false, ...onInput });
      updates.push(...found.updates);
      for (const reason of found.problems) contents.unused.push({ name: module, reason });
    }
    if (updates.length === 0) throw noUpdates(file, contents);
    return updates;
  }

  /** A factor's bytes as they are in the file. */
  readBytes(entry: TensorEntry): Promise<Uint8Array> {
    return this.#file.readBytes(entry.name);
  }

  /** A factor's numbers. */
  readFloat32(entry: TensorEntry): Promise<Float32Array> {
    return this.#file.readFloat32(entry.name);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

function groupTensors(file: SafetensorsFile): FileContents {
  const contents: FileContents = { modules: new Map(), formats: new Set(), unused: [], suspicious: [] };
  const ia3Modules = findIa3Modules(file.tensors.keys());
  for (const entry of file.tensors.values()) {
    const key = parseLoraKey(entry.name, ia3Modules);
    if (!key) {
      contents.unused.push({ name: entry.name, reason: "it is not a key of any LoRA format known here" });
      continue;
    }
    let tensors = contents.modules.get(key.module);
    if (!tensors) contents.modules.set(key.module, (tensors = { factors: new Map() }));
    const reason = addTensor(tensors, key, entry);
    if (reason !== undefined) contents.suspicious.push({ name: entry.name, reason });
    else if (key.role === "factor" && key.factor !== "alpha") contents.formats.add(key.format);
  }
  return contents;
}

/** Puts a tensor in its place; a string says why it has none. */
function addTensor(tensors: ModuleTensors, key: LoraKey, entry: TensorEntry): string | undefined {
  if (key.role === "foreign") {
    tensors.foreign = key.kind;
    return undefined;
  }
  if (key.factor !== "alpha") {
    const adapter = key.adapter ?? "";
    tensors.adapter ??= adapter;
    if (tensors.adapter !== adapter) return `the file holds several adapters; of this module only "${tensors.adapter}" is used`;
  }
  const same = tensors.factors.get(key.factor);
  if (same) return `the module's ${key.factor} is in the file already as "${same.name}", which is used`;
  tensors.factors.set(key.factor, entry);
  return undefined;
}

async function readUpdates(file: SafetensorsFile, contents: FileContents): Promise<LoraUpdate[]> {
  const { modules, unused, suspicious } = contents;
  const configuration = await AdapterConfiguration.of(file.path, file.metadata, (name, reason) => suspicious.push({ name, reason }));
  const updates: LoraUpdate[] = [];
  const isKohyaOft = file.metadata.get("ss_network_module") === "networks.oft";
  const numbers = await readNumbers(file, contents);
  let withoutAlpha = 0;
  for (const [module, { factors, foreign }] of modules) {
    if (foreign !== undefined) {
      unused.push({ name: module, reason: `${foreign} is not supported` });
      continue;
    }
    const settings = configuration?.settings(module) ?? { rankStabilized: false };
    const { alpha, onInput } = numbers.get(module)!;
    const found = moduleUpdates({
      module,
      factors,
      settings,
      isKohyaOft,
      ...(alpha === undefined ? {} : { alpha }),
      ...(onInput === undefined ? {} : { onInput }),
    });
    updates.push(...found.updates);
    for (const reason of found.problems) unused.push({ name: module, reason });
    const isLora = found.updates.some(({ kind }) => kind === "lowRank");
    if (isLora && alpha === undefined && settings.alpha === undefined) withoutAlpha++;
    else if (isLora && alpha === 0) suspicious.push({ name: module, reason: "its alpha is 0, so it changes nothing" });
  }
  if (withoutAlpha > 0 && contents.formats.has("kohya")) {
    suspicious.push({ name: "alpha", reason: `${withoutAlpha} modules have no alpha; alpha = rank is taken, as other programs do` });
  }
  return updates;
}

interface ModuleNumbers {
  readonly alpha: number | undefined;
  readonly onInput: number | undefined;
}

/** All modules' numbers at once: thousands of short reads, one after the other, would mostly wait. */
async function readNumbers(file: SafetensorsFile, { modules }: FileContents): Promise<ReadonlyMap<string, ModuleNumbers>> {
  const read = async ([module, { factors }]: [string, ModuleTensors]): Promise<[string, ModuleNumbers]> => {
    const [alpha, onInput] = await Promise.all([readNumber(file, factors.get("alpha")), readNumber(file, factors.get("on_input"))]);
    return [module, { alpha, onInput }];
  };
  return new Map(await Promise.all(Array.from(modules, read)));
}

/** A tensor that is one number; NaN where it is not. */
async function readNumber(file: SafetensorsFile, entry: TensorEntry | undefined): Promise<number | undefined> {
  if (!entry) return undefined;
  const isOne = entry.shape.every((size) => size === 1);
  return isOne && isNumericDtype(entry.dtype) ? (await file.readFloat32(entry.name))[0]! : NaN;
}

function noUpdates({ path, metadata, tensors }: SafetensorsFile, { modules, unused }: FileContents): UserError {
  if (metadata.get("format")?.startsWith("trt_lora/")) return new UserError("lora.unsupported", `${path} is a delta already, not a LoRA.`);
  const kinds = new Set(Array.from(modules.values(), ({ foreign }) => foreign).filter((kind) => kind !== undefined));
  if (kinds.size > 0) {
    const names = Array.from(kinds).join(", ");
    return new UserError("lora.unsupported", `${path} holds ${names}, which cannot be applied. Use a LoRA of another kind.`);
  }
  const [first] = unused;
  if (modules.size > 0 && first) {
    return new UserError(
      "lora.unsupported",
      `${path} holds no usable LoRA: of "${first.name}", ${first.reason}. Download or save it again.`,
    );
  }
  const [key] = tensors.keys();
  const found = key === undefined ? "it has no tensors" : `its ${tensors.size} tensors have names like "${key}"`;
  return new UserError("lora.unsupported", `${path} is not a LoRA: ${found}. Give a LoRA that kohya, PEFT or diffusers saved.`);
}
