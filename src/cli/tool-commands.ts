import type { Command } from "commander";
import { parseLora } from "./arguments.ts";
import type { Runner } from "./program.ts";

/** The merging tools. */
export function addTools(program: Command, runner: Runner): void {
  addBake(program, runner);
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
