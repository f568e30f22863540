import { type Command, Option } from "commander";
import { parseInteger, parseList, parseLora, parseNumber } from "./arguments.ts";
import { parseLoraArgument } from "../lora/strengths.ts";
import type { Runner } from "./program.ts";

/** The merging tools. */
export function addTools(program: Command, runner: Runner): void {
  addBake(program, runner);
  addExtract(program, runner);
  addResize(program, runner);
  addMergeLoras(program, runner);
}

function addBake(program: Command, runner: Runner): void {
  program
    .command("bake")
    .argument("<checkpoint>", "a .safetensors file, a diffusers folder or an engine bundle")
    .description("merge LoRAs into a new checkpoint")
    .option("--lora <file[:scale[:te]][:lbw=weights]>", "a LoRA or delta and its scales; may be given several times", parseLora, [])
    .option("-o, --output <file.safetensors>", "the new checkpoint")
    .option("--overwrite", "replace a file that exists")
    .action((checkpoint: string, options: Record<string, unknown>) =>
      runner.perform({ kind: "bake", options: { checkpoint, ...options }, file: checkpoint }),
    );
}

/** How small the new LoRA is to be. */
function addSizeOptions(command: Command, defaultText: string): Command {
  return command
    .option("-o, --output <file.safetensors>", "the new LoRA")
    .option("--rank <n>", `the largest rank of a layer${defaultText}`, parseInteger)
    .option("--energy <fraction>", "the smallest ranks that keep this part of the squared norm, such as 0.99", parseNumber);
}

function addExtract(program: Command, runner: Runner): void {
  const command = program
    .command("extract")
    .argument("<original>", "the checkpoint before training: a .safetensors file or a diffusers folder")
    .argument("<tuned>", "the checkpoint after it")
    .description("make a LoRA of what two checkpoints differ by; reports the error of each layer");
  addSizeOptions(command, " (default: 32)")
    .option("--components <list>", "unet,text_encoder,text_encoder_2 (default: all)", parseList)
    .addOption(new Option("--dtype <type>", "what the factors are stored in (default: fp16)").choices(["fp16", "bf16", "fp32"]))
    .option("--overwrite", "replace a file that exists")
    .action((original: string, tuned: string, options: Record<string, unknown>) =>
      runner.perform({ kind: "extract", options: { original, tuned, ...options }, file: tuned }),
    );
}

function addResize(program: Command, runner: Runner): void {
  const command = program
    .command("resize")
    .argument("<lora>", "a LoRA's .safetensors file")
    .description("write a LoRA with a smaller rank; reports the error of each layer");
  addSizeOptions(command, "")
    .option("--overwrite", "replace a file that exists")
    .action((lora: string, options: Record<string, unknown>) =>
      runner.perform({ kind: "resize", options: { lora, ...options }, file: lora }),
    );
}

function addMergeLoras(program: Command, runner: Runner): void {
  const command = program
    .command("merge-loras")
    .argument("<lora[:scale[:te]][:lbw=weights]...>", "LoRAs and their scales")
    .description("sum LoRAs into one file: exactly, or with --rank or --energy as near as that allows");
  addSizeOptions(command, " (default: the sum of the ranks, which is exact)")
    .option("--overwrite", "replace a file that exists")
    .action((loras: string[], options: Record<string, unknown>) =>
      runner.perform({ kind: "mergeLoras", options: { lora: loras.map(parseLoraArgument), ...options }, file: loras[0] }),
    );
}
