import type { ChildProcess } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parseLora } from "../../src/cli/arguments.ts";
import { CHECKPOINT, cli, filesUnder, HUE, INK, run, temporaryFolder } from "./jobs-support.ts";

const folder = temporaryFolder();
const engine = join(folder, "emoji");
const QUICK = ["--prompt", "red apple", "--steps", "2", "--cfg", "4", "--seed", "1", "--width", "64", "--height", "64"];

beforeAll(async () => {
  await run("export", { checkpoint: CHECKPOINT, output: engine });
});

/** The line that a problem matcher reads. */
const ERROR_LINE = /^(.+):(\d+):(\d+): (error|warning): (.*) \[([\w.]+)\]$/m;

describe("usage", () => {
  test("--help lists every command, and of each its options", async () => {
    const { code, stdout } = await cli(["--help"]);
    expect(code).toBe(0);
    for (const command of ["export", "delta", "generate", "inspect", "compare", "bench", "doctor"])
      expect(stdout).toMatch(new RegExp(`^  ${command} `, "m"));
    const generate = await cli(["generate", "--help"]);
    expect(generate.code).toBe(0);
    const options = [
      "prompt",
      "negative",
      "lora",
      "steps",
      "cfg",
      "sampler",
      "schedule",
      "seed",
      "width",
      "height",
      "batch",
      "output",
      "latents",
      "save-latents",
      "jobs",
      "json",
      "backend",
      "log-level",
    ];
    for (const option of options) expect(generate.stdout).toContain(`--${option}`);
  });

  test.each<[string, string[], RegExp]>([
    ["an unknown command", ["frobnicate"], /unknown command 'frobnicate'/],
    ["an unknown option", ["generate", "x", "--colour", "red"], /unknown option '--colour'/],
    ["a missing argument", ["export"], /missing required argument 'checkpoint'/],
    ["a number that is none", ["generate", "x", "--steps", "many"], /--steps <n>' argument 'many' is invalid. Expected a whole number/],
    ["a range of two", ["export", CHECKPOINT, "--width", "64,128"], /Expected min,opt,max/],
    ["an unknown backend", ["doctor", "--backend", "vulkan"], /Allowed choices are auto, onnxruntime, tensorrt, tensorrt-rtx/],
    [
      "a value the job refuses",
      ["generate", engine, ...QUICK, "--sampler", "ddpm"],
      /: error: --sampler ddpm: it must be one of euler, .* \[option\.invalid\]$/m,
    ],
    ["no prompt", ["generate", engine], /: error: --prompt is missing\. Give it\. \[option\.invalid\]$/m],
  ])("%s: 2", async (_name, args, message) => {
    const { code, stdout, stderr } = await cli(args);
    expect(stderr).toMatch(message);
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });

  test.each([
    ["ink.safetensors", { file: "ink.safetensors", scale: 1 }],
    ["ink.safetensors:0.5", { file: "ink.safetensors", scale: 0.5 }],
    ["ink:-.25", { file: "ink", scale: -0.25 }],
    ["a:b/ink:1e-1", { file: "a:b/ink", scale: 0.1 }],
    ["C:\\loras\\ink.safetensors", { file: "C:\\loras\\ink.safetensors", scale: 1 }],
    ["C:\\loras\\ink.safetensors:2", { file: "C:\\loras\\ink.safetensors", scale: 2 }],
  ])("--lora %s", (text, expected) => {
    expect(parseLora(text, [])).toEqual([expected]);
  });
});

describe("errors", () => {
  test("are one line that a problem matcher reads; with --json an object too", async () => {
    const missing = join(folder, "none.safetensors");
    const plain = await cli(["export", missing]);
    expect([plain.code, plain.stdout]).toEqual([1, ""]);
    const [, file, line, , severity, message, code] = ERROR_LINE.exec(plain.stderr)!;
    expect([file, line, severity, code]).toEqual([missing, "1", "error", "file.missing"]);
    expect(plain.stderr.trim().split("\n")).toHaveLength(1);

    const json = await cli(["export", missing, "--json"]);
    expect(json.code).toBe(1);
    expect(json.lines.at(-1)).toEqual({ type: "error", code: "file.missing", message, file: missing });
  });
});

describe("results", () => {
  test("export, delta and generate say what they made", async () => {
    const bundle = join(folder, "made");
    const made = await cli(["export", CHECKPOINT, "-o", bundle, "--json", "--width", "64,128,256"]);
    expect(made.code).toBe(0);
    expect(made.lines.filter(({ type }) => type === "progress").length).toBeGreaterThan(3);
    expect(made.lines.at(-1)).toMatchObject({ type: "result", bundle, warnings: [] });
    expect(made.lines.filter(({ type }) => type === "result")).toHaveLength(1);

    const delta = await cli(["delta", bundle, INK, "--strength", "0.5"]);
    expect([delta.code, delta.stderr]).toEqual([0, ""]);
    expect(delta.stdout).toContain(join(folder, "made_ink_s0.50.trt_lora"));
    expect(delta.stdout).toContain("matched 192 modules");

    const output = join(folder, "made.png");
    const generated = await cli([
      "generate",
      bundle,
      ...QUICK,
      "--lora",
      `${join(folder, "made_ink_s0.50.trt_lora")}:0.5`,
      "-o",
      output,
      "--json",
    ]);
    expect(generated.code).toBe(0);
    expect(generated.lines.at(-1)).toMatchObject({ type: "result", images: [output], seed: "1", loras: [{ scale: 0.5, matched: 192 }] });
    expect(generated.lines.some(({ type, stage, fraction }) => type === "progress" && stage === "sampling" && fraction === 1)).toBe(true);
  });

  test("inspect shows what a file is; a reader that leaves early is no error", async () => {
    const { code, stdout } = await cli(["inspect", INK]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/ink\.safetensors: lora, 843 kB\n {2}576 tensors, 383,168 parameters/);
    expect(stdout).toMatch(/lora_unet_input_blocks_4_1_proj_in +rank 8, alpha 8, norm \d/);
    expect(stdout).toContain("… and 172 more (--json lists all)");

    const closed = await cli(["inspect", CHECKPOINT, "--json"], { onOutput: ({ stdout: pipe }) => pipe!.destroy() });
    expect(closed.stderr).toBe("");
  });

  test("compare gives the job's numbers, and a table in words", async () => {
    const { code, lines } = await cli(["compare", INK, `${HUE}:0.5`, "--json"]);
    expect(code).toBe(0);
    const expected = await run("compare", { a: [{ file: INK }], b: [{ file: HUE, scale: 0.5 }] });
    expect(lines.at(-1)).toEqual({ type: "result", ...(JSON.parse(JSON.stringify(expected)) as object) });

    const stack = await cli(["compare", INK, "--add-a", `${HUE}:0.5`, "--base", CHECKPOINT]);
    expect(stack.stdout).toContain("A: ink.safetensors × 1 + opposite-hue.safetensors × 0.5\nB: no change\n");
    expect(stack.stdout).toMatch(/‖B − A‖\/‖W‖ 0\.\d/);
    expect((await cli(["compare", CHECKPOINT])).code).toBe(1);
  });

  test("doctor lists everything and where it was looked for", async () => {
    const { code, lines } = await cli(["doctor", "--json"]);
    expect(code).toBe(0);
    const { findings } = lines.at(-1) as { findings: { name: string; state: string; tried: object[]; advice?: string }[] };
    expect(findings.map(({ name }) => name)).toEqual([
      "Node.js",
      "ONNX Runtime (CPU)",
      "Native add-on",
      "NVIDIA driver",
      "GPU",
      "TensorRT",
      "TensorRT-RTX",
    ]);
    for (const { state, tried, advice } of findings.filter((finding) => finding.state === "missing")) {
      expect([state, tried.length > 0, advice !== undefined]).toEqual(["missing", true, true]);
    }
  });

  test("bench prints a table", async () => {
    const { code, stdout } = await cli(["bench", engine, "--steps", "1", "--width", "64", "--height", "64", "--lora", INK]);
    expect(code).toBe(0);
    for (const row of [
      /^ {2}load +\d/m,
      /^ {2}step +\d/m,
      /^ {2}stack +ink\.safetensors:1 +\d.*read.*merge.*refit/m,
      /^ {2}memory base \d/m,
    ])
      expect(stdout).toMatch(row);
  });
});

describe("--jobs", () => {
  async function jobs(lines: readonly unknown[], ...args: string[]) {
    const path = join(folder, "jobs.jsonl");
    writeFileSync(path, lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n"));
    return { path, ...(await cli(["generate", engine, ...QUICK.slice(2), "--jobs", path, ...args])) };
  }

  test("many pictures of one process: the base's is the same before, after, and from another process", async () => {
    const output = (name: string) => join(folder, `${name}.png`);
    const prompt = "red apple";
    const { code, lines } = await jobs(
      [
        "# the base, a LoRA, the base again",
        { prompt, output: output("before") },
        "",
        { prompt, lora: [{ file: INK }], output: output("ink") },
        { prompt, output: output("after") },
      ],
      "--json",
    );
    expect(code).toBe(0);
    expect(lines.filter(({ type }) => type === "result").map(({ images }) => images)).toEqual([
      [output("before")],
      [output("ink")],
      [output("after")],
    ]);
    expect((await cli(["generate", engine, ...QUICK, "-o", output("alone")])).code).toBe(0);
    const [before, ink, after, alone] = ["before", "ink", "after", "alone"].map((name) => readFileSync(output(name)));
    expect(after!.equals(before!)).toBe(true);
    expect(alone!.equals(before!)).toBe(true);
    expect(ink!.equals(before!)).toBe(false);
  });

  test.each<[string, readonly unknown[], RegExp]>([
    ["a line that is no JSON", [{ prompt: "x" }, "{prompt: x}"], /:2:1: error: It is not a JSON object/],
    ["a line that is a list", ["[1]"], /:1:1: error: It is not a JSON object/],
    [
      "a wrong value in the last line",
      [{ prompt: "x" }, "# comment", { prompt: "x", sampler: "ddpm" }],
      /:3:1: error: "sampler" ddpm: it must be one of/,
    ],
    ["no prompt", [{ seed: 3 }], /:1:1: error: "prompt" is missing/],
    ["an unknown name", [{ prompt: "x", cfg_scale: 7 }], /:1:1: error: There is no option "cfg_scale"/],
    ["no line", ["# nothing"], /holds no jobs/],
  ])("%s is found before anything runs: 2", async (_name, lines, message) => {
    const before = filesUnder(folder);
    const { code, stderr, stdout, path } = await jobs(lines);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(ERROR_LINE);
    expect(stderr.startsWith(path)).toBe(true);
    expect([code, stdout]).toEqual([2, ""]);
    expect(filesUnder(folder).filter((file) => file !== "jobs.jsonl")).toEqual(before.filter((file) => file !== "jobs.jsonl"));
  });

  test("the first failure ends it and names its line", async () => {
    const output = join(folder, "ended.png");
    const { code, stderr, path } = await jobs([
      { prompt: "x", output },
      { prompt: "x", output: join(folder, "none", "x.png") },
      { prompt: "x" },
    ]);
    expect(code).toBe(1);
    expect(stderr.startsWith(`${path}:2:1: error: `)).toBe(true);
    expect(readFileSync(output).length).toBeGreaterThan(100);
  });
});

describe("signals", () => {
  /** Sends a signal once the first step is done. */
  function at(stage: string, signal: NodeJS.Signals) {
    let sent = false;
    return (child: ChildProcess, stdout: string) => {
      if (sent || !stdout.includes(`"stage":"${stage}"`)) return;
      sent = true;
      child.kill(signal);
    };
  }

  const LONG = ["--prompt", "red apple", "--steps", "500", "--seed", "1", "--json"];

  test.each(["SIGINT", "SIGTERM"] as const)("%s cancels: 130, and nothing is left", async (signal) => {
    const before = filesUnder(folder);
    const args = [
      "generate",
      engine,
      ...LONG,
      "-o",
      join(folder, "cancelled.png"),
      "--save-latents",
      join(folder, "cancelled.safetensors"),
    ];
    const { code, lines, stderr } = await cli(args, { onOutput: at("sampling", signal) });
    expect(code).toBe(130);
    expect(lines.at(-1)).toEqual({ type: "error", code: "cancelled", message: "Cancelled." });
    expect(stderr).toBe("tensorrt-redux: Cancelled.\n");
    expect(filesUnder(folder)).toEqual(before);
  });

  test("an export that is cancelled leaves nothing", async () => {
    const before = filesUnder(folder);
    const args = ["export", CHECKPOINT, "-o", join(folder, "cancelled"), "--precision", "fp32", "--json"];
    const { code } = await cli(args, { onOutput: at("reading the checkpoint", "SIGINT") });
    expect(code).toBe(130);
    expect(filesUnder(folder)).toEqual(before);
  });

  test("killed outright, there is no half-written file under its name, and the next run removes what is left", async () => {
    const before = filesUnder(folder);
    const generated = await cli(["generate", engine, ...LONG, "-o", join(folder, "killed.png")], { onOutput: at("sampling", "SIGKILL") });
    expect(generated.signal).toBe("SIGKILL");
    expect(filesUnder(folder)).toEqual(before);
    const exported = await cli(["export", CHECKPOINT, "-o", join(folder, "killed"), "--precision", "fp32", "--json"], {
      onOutput: at("converting weights", "SIGKILL"),
    });
    expect(exported.signal).toBe("SIGKILL");
    // What was being built is under a hidden name; the bundle's own does not exist.
    const left = filesUnder(folder).filter((file) => !before.includes(file));
    expect(left).not.toEqual([]);
    for (const file of left) expect(file).toMatch(/^\.killed\.[0-9a-f]{8}-\d+-[0-9a-f]{12}\.tmp/);
    const { code } = await cli(["generate", engine, "--prompt", "red apple", "--steps", "1", "-o", join(folder, "next.png")]);
    expect(code).toBe(0);
    expect(filesUnder(folder)).toEqual([...before, "next.png"].toSorted());
  });
});
