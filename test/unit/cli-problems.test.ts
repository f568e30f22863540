import type { ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { fileOfError } from "../../src/cli/error-file.ts";
import { UserError } from "../../src/formats/errors.ts";
import { CHECKPOINT, cli, INK, run, temporaryFolder } from "./jobs-support.ts";

/* Real runs that fail, read as VS Code's problem matcher reads them: where does a click on the problem lead? */

interface Pattern {
  readonly regexp: string;
  readonly file: number;
  readonly line: number;
  readonly severity: number;
  readonly message: number;
  readonly code: number;
}

const root = join(import.meta.dirname, "..", "..");
const { contributes } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly contributes: { readonly problemMatchers: readonly [{ readonly pattern: Pattern }] };
};
const { pattern } = contributes.problemMatchers[0];

/** The problems that the matcher finds in a terminal's text. */
function problems(output: string): { file: string; line: number; severity: string; message: string; code: string }[] {
  return output.split("\n").flatMap((line) => {
    const match = new RegExp(pattern.regexp).exec(line);
    if (!match) return [];
    const part = (index: number): string => match[index]!;
    const [file, severity, message, code] = [pattern.file, pattern.severity, pattern.message, pattern.code].map(part);
    return [{ file: file!, line: Number(part(pattern.line)), severity: severity!, message: message!, code: code! }];
  });
}

const folder = temporaryFolder();
const engine = join(folder, "emoji");
const cut = join(folder, "cut.safetensors");
const none = join(folder, "none.safetensors");
const output = join(folder, "out.safetensors");
const empty = join(folder, "empty");
const damaged = join(folder, "damaged");
const batch = join(folder, "jobs.tensorrt.jsonl");
const QUICK = ["--prompt", "apple", "--steps", "2", "--width", "64", "--height", "64", "-o", join(folder, "p.png")];

beforeAll(async () => {
  await run("export", { checkpoint: CHECKPOINT, output: engine });
  writeFileSync(cut, Buffer.from([255, 255, 0, 0, 0, 0, 0, 0, 123]));
  mkdirSync(empty);
  mkdirSync(damaged);
  writeFileSync(join(damaged, "engine.json"), "{");
  writeFileSync(
    batch,
    `{"engine": ${JSON.stringify(engine)}, "prompt": "a", "steps": 0}\n# fine\n{"prompt": "b", "engine": "e", "cgf": 1}\n`,
  );
});

test.each<[string, string, string[], string]>([
  ["export of a file that is cut off", "file.truncated", ["export", cut], cut],
  ["export of a file that is not there", "file.missing", ["export", none], none],
  ["export of a LoRA", "checkpoint.unsupported", ["export", INK], INK],
  ["delta of a file that is cut off", "file.truncated", ["delta", engine, cut], cut],
  ["delta for what is no engine", "bundle.invalid", ["delta", empty, INK], empty],
  ["a damaged engine", "bundle.invalid", ["generate", damaged, ...QUICK], join(damaged, "engine.json")],
  ["a size that the engine does not have", "option.invalid", ["generate", engine, ...QUICK, "--width", "65"], join(engine, "engine.json")],
  ["the second of two LoRAs", "file.truncated", ["generate", engine, ...QUICK, "--lora", `${INK}:0.5`, "--lora", `${cut}:0.5:1`], cut],
  ["a picture to start from", "file.missing", ["generate", engine, ...QUICK, "--image", join(folder, "no.png")], join(folder, "no.png")],
  ["a grid's LoRA", "file.truncated", ["grid", engine, ...QUICK, "--lora", cut, "--x", "cfg=1,2"], cut],
  ["bake", "file.truncated", ["bake", CHECKPOINT, "--lora", cut, "-o", output], cut],
  ["extract", "file.missing", ["extract", CHECKPOINT, none, "-o", output], none],
  ["resize", "file.truncated", ["resize", cut, "--rank", "2", "-o", output], cut],
  ["merge-loras", "file.truncated", ["merge-loras", INK, `${cut}:-1`, "-o", output], cut],
  ["bench of what is no engine", "file.missing", ["bench", none], none],
])("%s: %s", async (_name, code, words, file) => {
  const { stderr } = await cli(words);
  expect(problems(stderr)).toEqual([{ file, line: 1, severity: "error", message: expect.stringMatching(/\.$/) as string, code }]);
});

/** Ends a run by Ctrl-C as soon as its progress says this. */
function interruptAt(message: string) {
  let sent = false;
  return (child: ChildProcess, stdout: string): void => {
    if (sent || !stdout.includes(message)) return;
    sent = true;
    child.kill("SIGINT");
  };
}

test.each<[string, string, () => string[]]>([
  ["a picture", "step 1/400", () => ["generate", engine, ...QUICK, "--steps", "400"]],
  [
    "a batch",
    "step 1/400",
    () => {
      const jobs = join(folder, "long.tensorrt.jsonl");
      writeFileSync(jobs, JSON.stringify({ engine, prompt: "a", steps: 400, width: 64, height: 64, output: "long.png" }));
      return ["generate", "--jobs", jobs];
    },
  ],
  // Its file is being read when the signal comes: what the reader throws is no error of the file either.
  ["an export", "reading the checkpoint", () => ["export", CHECKPOINT, "-o", join(folder, "cancelled")]],
])("%s that a person cancels is no problem", async (_name, stage, words) => {
  const { code, stderr } = await cli([...words(), "--json"], { cwd: folder, onOutput: interruptAt(stage) });
  expect(code).toBe(130);
  expect(stderr).toContain("tensorrt-redux: Cancelled.");
  expect(problems(stderr)).toEqual([]);
});

test("relative paths stay as they were given: VS Code looks in the task's folder", async () => {
  const { stderr } = await cli(["export", "cut.safetensors"], { cwd: folder });
  const [problem] = problems(stderr);
  expect(isAbsolute(problem!.file)).toBe(false);
  expect(resolve(folder, problem!.file)).toBe(cut);
});

test("every line of a batch file that is wrong is a problem of its own", async () => {
  const { code, stderr } = await cli(["generate", "--jobs", batch]);
  expect(code).toBe(2);
  expect(problems(stderr)).toEqual([
    { file: batch, line: 1, severity: "error", message: '"steps" 0: it must be at least 1.', code: "option.invalid" },
    { file: batch, line: 3, severity: "error", message: 'There is no option "cgf". Leave it out.', code: "option.invalid" },
  ]);
});

test("a job that fails is a problem of its line, whatever file it failed on", async () => {
  const jobs = join(folder, "failing.tensorrt.jsonl");
  writeFileSync(
    jobs,
    `# a comment\n{"engine": ${JSON.stringify(engine)}, "prompt": "a", "steps": 1, "lora": [{"file": ${JSON.stringify(none)}}]}`,
  );
  const { stderr } = await cli(["generate", "--jobs", jobs]);
  expect(problems(stderr)).toMatchObject([{ file: jobs, line: 2, code: "file.missing" }]);
});

describe("paths of Windows", () => {
  test.each([
    ["C:\\models\\a b.safetensors:1:1: error: It is cut off. [file.truncated]", "C:\\models\\a b.safetensors", 1],
    [
      'd:\\jobs (2)\\x.tensorrt.jsonl:17:1: error: "steps" 0: it must be at least 1. [option.invalid]',
      "d:\\jobs (2)\\x.tensorrt.jsonl",
      17,
    ],
    ["\\\\server\\share\\engine\\engine.json:1:1: error: C:\\x:2:3: odd. [bundle.invalid]", "\\\\server\\share\\engine\\engine.json", 1],
    ["C:/models/x.safetensors:1:1: error: It is cut off. [file.truncated]", "C:/models/x.safetensors", 1],
  ])("%s", (text, file, line) => {
    expect(problems(`info: loaded C:\\x\n${text}\nC:\\x: 2 done`)).toMatchObject([{ file, line }]);
  });

  test("a file that the message names is found among the options", () => {
    const lora = "C:\\loras\\ink.safetensors";
    const error = new UserError("file.truncated", `${lora} is cut off: download it again.`);
    expect(fileOfError(error, { options: { engine: "C:\\loras", lora: [{ file: lora, scale: 1 }] }, file: "C:\\loras" })).toBe(lora);
  });
});

test("an error of many lines is told in one", async () => {
  const { stderr } = await cli(["inspect", "a\nb.safetensors"], { cwd: folder });
  expect(stderr).toMatch(/error: .* \[file\.missing\]\n$/);
});
