import { Command, Option } from "commander";
import { resolve } from "node:path";
import { VERSION } from "../jobs/version.ts";
import { parseAxis, parseInteger, parseList, parseLora, parseNumber, parseRange, parseSeed } from "./arguments.ts";
import { parseLoraArgument, type LoraArgument } from "../lora/strengths.ts";
import type { Command as RunCommand } from "./command.ts";
import { addTools } from "./tool-commands.ts";

/** What runs the commands: both report results and errors and set the exit code. */
export interface Runner {
  perform(command: RunCommand): Promise<void>;
  /** @param shared the options of every job in the file, which a line may override */
  performJobs(path: string, shared: Readonly<Record<string, unknown>>): Promise<void>;
}

/** The command line: names and defaults are what scripts rely on. */
export function makeProgram(runner: Runner): Command {
  const program = new Command("tensorrt-redux")
    .description("Diffusion checkpoints as refittable engines: export, make deltas of LoRAs, generate.")
    .version(VERSION)
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError("(--help shows the options)");
  addExport(program, runner);
  addDelta(program, runner);
  addGenerate(program, runner);
  addGrid(program, runner);
  addTools(program, runner);
  addInspect(program, runner);
  addCompare(program, runner);
  addBench(program, runner);
  addDoctor(program, runner);
  addInstallRuntime(program, runner);
  for (const command of program.commands) addCommonOptions(command);
  return program;
}

function baseOption(): Option {
  return new Option("--base <place>", "where a GPU engine keeps its base weights (default: auto)").choices(["auto", "gpu", "host", "file"]);
}

function loraOption(): Option {
  const about = "a LoRA or delta, its scales on UNet and text encoders; may be given several times";
  return new Option("--lora <file[:scale[:te]][:lbw=weights]>", about).argParser(parseLora).default([]);
}

function addCommonOptions(command: Command): void {
  command
    .option("--json", "one JSON object a line on stdout, the result last")
    .addOption(new Option("--backend <name>", "what runs the networks").choices(["auto", "onnxruntime", "tensorrt", "tensorrt-rtx"]))
    .addOption(
      new Option("--log-level <level>", "how much is logged to stderr").choices(["error", "warn", "info", "debug"]).default("warn"),
    );
}

function addExport(program: Command, runner: Runner): void {
  program
    .command("export")
    .argument("<checkpoint>", "a .safetensors file or a diffusers folder")
    .description("make an engine bundle of a checkpoint")
    .option("-o, --output <dir>", "the bundle's folder (default: the name, in the working folder)")
    .option("--name <name>", "the bundle's name (default: the checkpoint's)")
    .option("--precision <type>", "fp16, bf16, fp32 (default: as the checkpoint)")
    .option("--batch <min,opt,max>", "images at once", parseRange)
    .option("--height <min,opt,max>", "pixels", parseRange)
    .option("--width <min,opt,max>", "pixels", parseRange)
    .option("--context <min,opt,max>", "tokens of the prompt", parseRange)
    .option("--static", "only the opt shapes")
    .addOption(new Option("--refit <what>", "which weights can be changed").choices(["individual", "all", "none"]))
    .option("--components <list>", "unet,text_encoder,… (default: all)", parseList)
    .option("--keep-onnx", "keep the ONNX files beside the engines")
    .option("--optimization-level <n>", "0, built at once, to 5, every kernel tried (default: TensorRT's own, 3)", parseInteger)
    .option("--workspace <MiB>", "the most scratch memory a layer may use while it is built", parseInteger)
    .option("--timing-cache <dir>", "where measurements of kernels are kept (default: .tensorrt-redux/timing in the home folder)")
    .option("--compute-capability <list>", "TensorRT-RTX: build for these GPUs (8.6,8.9,12.0) instead of the one here", parseList)
    .option("--overwrite", "replace a bundle that exists")
    .action((checkpoint: string, options: Record<string, unknown>) =>
      runner.perform({ kind: "export", options: { checkpoint, ...options }, file: checkpoint }),
    );
}

function addDelta(program: Command, runner: Runner): void {
  program
    .command("delta")
    .argument("<engine>", "an engine bundle")
    .argument("<lora>", "a LoRA's .safetensors file, or a .trt_lora of version 1")
    .description("make a delta (.trt_lora) of a LoRA, or of one of version 1, for an engine; lists what matched and what did not")
    .option("-o, --output <file>", "the delta's file (default: NAME_LORA_s1.00.trt_lora beside the bundle)")
    .option("--strength <number>", "multiplied into the delta", parseNumber)
    .option("--dense", "store the changes themselves, not their factors")
    .option("--rank <n>", "of version 1: keep factors of at most this rank instead of whole changes", parseInteger)
    .option("--energy <fraction>", "of version 1: keep the factors that hold this part of the squared norm, such as 0.99", parseNumber)
    .option("--overwrite", "replace a file that exists")
    .action((engine: string, lora: string, options: Record<string, unknown>) =>
      runner.perform({ kind: "delta", options: { engine, lora, ...options }, file: lora }),
    );
}

/** What `generate` and `grid` have in common. */
function addImageOptions(command: Command): Command {
  return command
    .option("--prompt <text>", "what to draw; may hold (word:1.2), BREAK and <lora:NAME:SCALE>")
    .option("--negative <text>", "what to avoid")
    .addOption(loraOption())
    .option("--steps <n>", "sampling steps (default: 20)", parseInteger)
    .option("--cfg <scale>", "guidance scale (default: 7)", parseNumber)
    .option("--cfg-rescale <phi>", "CFG rescale, 0 to 1 (default: 0)", parseNumber)
    .option(
      "--sampler <name>",
      "euler, euler_ancestral, heun, dpm_2, dpmpp_2m, dpmpp_2m_sde, dpmpp_sde, ddim, uni_pc, lcm (default: euler)",
    )
    .option(
      "--schedule <name>",
      "normal, karras, exponential, simple, sgm_uniform, beta, ddim_uniform, leading, linspace, trailing (default: normal)",
    )
    .option("--seed <n>", "as torch.Generator('cpu') takes it (default: random)", parseSeed)
    .option("--width <pixels>", "default: what the engine is tuned for", parseInteger)
    .option("--height <pixels>", "default: what the engine is tuned for", parseInteger)
    .option("--image <file.png>", "image to image: start from this picture")
    .option("--strength <number>", "image to image: how much of the picture is replaced, over 0 to 1 (default: 0.75)", parseNumber)
    .option("-o, --output <file.png>", "default: out.png, or the next free out-N.png")
    .option("--overwrite", "replace pictures that exist")
    .addOption(baseOption());
}

function addGenerate(program: Command, runner: Runner): void {
  addImageOptions(
    program.command("generate").argument("[engine]", "an engine bundle; the lines of --jobs may name their own").description("make images"),
  )
    .option("--batch <n>", "images at once (default: 1)", parseInteger)
    .option("--latents <file>", "initial unit-variance noise, tensor `latents`, float32 [B,C,h,w]")
    .option("--save-latents <file>", "write the final latents")
    .option(
      "--jobs <file.jsonl>",
      "many runs on one loaded engine: one object of these options (camelCase) a line; a .tensorrt.jsonl file goes on where its last run ended, by the results beside it, unless --overwrite",
    )
    .action((engine: string | undefined, { jobs, ...options }: Record<string, unknown> & { jobs?: string }) => {
      const shared = { ...(engine !== undefined && { engine }), ...options };
      return jobs === undefined
        ? runner.perform({ kind: "generate", options: shared, file: engine })
        : runner.performJobs(resolve(jobs), shared);
    });
}

const AXIS = "steps, cfg, cfg-rescale, sampler, schedule, seed, strength, or lora:FILE for a LoRA's scale";

function addGrid(program: Command, runner: Runner): void {
  addImageOptions(
    program
      .command("grid")
      .argument("<engine>", "an engine bundle")
      .description("make one labelled picture of many, which differ in one or two options"),
  )
    .requiredOption("--x <option=values>", `from left to right: ${AXIS}; such as cfg=4,7,10`, parseAxis)
    .option("--y <option=values>", "from top to bottom, as --x; such as lora:ink.safetensors=0,0.5,1", parseAxis)
    .action((engine: string, options: Record<string, unknown>) =>
      runner.perform({ kind: "grid", options: { engine, ...options }, file: engine }),
    );
}

function addInspect(program: Command, runner: Runner): void {
  program
    .command("inspect")
    .argument("<file>", "a checkpoint, LoRA, delta or engine bundle")
    .description("show what a file is, its metadata, its tensors, and of a LoRA or delta what each layer changes")
    .option("--base <engine|checkpoint>", "what changes are measured against; kinds that depend on the weights need it")
    .action((file: string, options: Record<string, unknown>) => runner.perform({ kind: "inspect", options: { file, ...options }, file }));
}

function addCompare(program: Command, runner: Runner): void {
  program
    .command("compare")
    .argument("<a>", "a LoRA or delta, with its scale where it is not 1: file[:scale[:te]][:lbw=weights]", parseLoraArgument)
    .argument("[b]", "another, or the same at another scale; without it: what A changes", parseLoraArgument)
    .description("compare two LoRAs, deltas or stacks of them, layer by layer")
    .option("--add-a <file[:scale]>", "a further LoRA or delta of A's stack; may be given several times", parseLora, [])
    .option("--add-b <file[:scale]>", "a further LoRA or delta of B's stack; may be given several times", parseLora, [])
    .option("--base <engine|checkpoint>", "what changes are measured against; kinds that depend on the weights need it")
    .action((a: LoraArgument, b: LoraArgument | undefined, { addA, addB, ...options }: CompareWords) =>
      runner.perform({ kind: "compare", options: { ...options, a: [a, ...addA], b: [...(b ? [b] : []), ...addB] }, file: a.file }),
    );
}

type CompareWords = Record<string, unknown> & { readonly addA: LoraArgument[]; readonly addB: LoraArgument[] };

function addBench(program: Command, runner: Runner): void {
  program
    .command("bench")
    .argument("<engine>", "an engine bundle")
    .description("time a step, LoRA switches and the load; show the memory")
    .addOption(loraOption())
    .option("--steps <n>", "steps that are timed (default: 20)", parseInteger)
    .option("--width <pixels>", "default: what the engine is tuned for", parseInteger)
    .option("--height <pixels>", "default: what the engine is tuned for", parseInteger)
    .option("--batch <n>", "the UNet's batch, positives and negatives together (default: 2)", parseInteger)
    .addOption(baseOption())
    .action((engine: string, options: Record<string, unknown>) =>
      runner.perform({ kind: "bench", options: { engine, ...options }, file: engine }),
    );
}

function addDoctor(program: Command, runner: Runner): void {
  program
    .command("doctor")
    .description("what was found on this machine and where; for what is missing, every place looked in")
    .action((options: Record<string, unknown>) => runner.perform({ kind: "doctor", options, file: undefined }));
}

function addInstallRuntime(program: Command, runner: Runner): void {
  program
    .command("install-runtime")
    .description("download TensorRT-RTX with pip to where export and generate find it")
    .option("--python <program>", "the Python whose pip downloads (default: python3)")
    .action((options: Record<string, unknown>) => runner.perform({ kind: "installRuntime", options, file: undefined }));
}
