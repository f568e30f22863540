import { describe, expect, test } from "vitest";
import {
  parseSamplerLabel,
  parseScheduleLabel,
  samplerLabel,
  scheduleLabel,
  type SamplerName,
  type ScheduleName,
} from "../../src/formats/parameter-labels.ts";
import type { GenerationParameters } from "../../src/formats/generation-parameters.ts";
import { formatParameters, parseParameters } from "../../src/formats/parameters.ts";
import { randomGenerator } from "./formats-support.ts";

const full: GenerationParameters = {
  prompt: "a cat <lora:ink:0.8>",
  negativePrompt: "blurry",
  steps: 20,
  sampler: "dpmpp_2m",
  schedule: "karras",
  cfgScale: 7.5,
  seed: "18446744073709551615",
  size: { width: 512, height: 768 },
  modelHash: "6ce0161689",
  model: "emoji-xl",
  denoisingStrength: 0.75,
  loraHashes: [
    { name: "ink", hash: "0123456789ab" },
    { name: "hue: shifted", hash: "ba9876543210" },
  ],
  version: "0.1.0",
  others: new Map([["CFG Rescale", "0.7"]]),
};

test("the text is the WebUI family's", () => {
  expect(formatParameters(full)).toBe(
    "a cat <lora:ink:0.8>\nNegative prompt: blurry\n" +
      "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 18446744073709551615, Size: 512x768, " +
      "Model hash: 6ce0161689, Model: emoji-xl, Denoising strength: 0.75, " +
      'Lora hashes: "ink: 0123456789ab, hue: shifted: ba9876543210", CFG Rescale: 0.7, Version: 0.1.0',
  );
  expect(parseParameters(formatParameters(full))).toEqual(full);
});

describe("texts of other programs", () => {
  test("WebUI 1.10, prompts of several lines", () => {
    const text = `masterpiece, (best quality:1.2),
1girl, "quoted", Steps: 3
Negative prompt: lowres, bad anatomy,
watermark
Steps: 28, Sampler: Euler a, Schedule type: Automatic, CFG scale: 5, Seed: 3971483273, Size: 832x1216, Model hash: 67ab2fd8ec, Model: ponyXL, VAE: "a, b.safetensors", Lora hashes: "detail: 1a2b3c4d5e6f", TI hashes: "x: 0", Version: v1.10.1`;
    expect(parseParameters(text)).toEqual({
      prompt: 'masterpiece, (best quality:1.2),\n1girl, "quoted", Steps: 3',
      negativePrompt: "lowres, bad anatomy,\nwatermark",
      steps: 28,
      sampler: "euler_ancestral",
      cfgScale: 5,
      seed: "3971483273",
      size: { width: 832, height: 1216 },
      modelHash: "67ab2fd8ec",
      model: "ponyXL",
      loraHashes: [{ name: "detail", hash: "1a2b3c4d5e6f" }],
      version: "v1.10.1",
      others: new Map([
        ["Schedule type", "Automatic"],
        ["VAE", "a, b.safetensors"],
        ["TI hashes", "x: 0"],
      ]),
    });
  });

  test("before version 1.9 the sampler's label held the schedule", () => {
    const parsed = parseParameters("x\nSteps: 20, Sampler: DPM++ 2M SDE Karras, CFG scale: 7, Seed: 1, Size: 512x512");
    expect(parsed).toMatchObject({ sampler: "dpmpp_2m_sde", schedule: "karras", others: new Map() });
  });

  test("values that are not understood are kept", () => {
    const parsed = parseParameters("x\nSteps: many, Sampler: Restart, Seed: 0x1, Size: big, CFG scale: 1e3");
    expect(parsed.cfgScale).toBe(1000);
    expect([...parsed.others]).toEqual([
      ["Steps", "many"],
      ["Sampler", "Restart"],
      ["Seed", "0x1"],
      ["Size", "big"],
    ]);
  });

  test.each([
    ["", ""],
    ["just words", "just words"],
    ["Steps: 20, Seed: 3", "Steps: 20, Seed: 3"],
    ["a: b", "a: b"],
  ])("%j is a prompt without fields", (text, prompt) => {
    expect(parseParameters(text)).toEqual({ prompt, negativePrompt: "", others: new Map() });
  });
});

describe("prompts come back as they were", () => {
  const prompts = [
    "",
    "a, b: c, \"d\" \\ 'e'",
    "two\nlines",
    "Windows\r\nlines",
    " spaces at both ends \n and in lines \n\n",
    "Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64",
    "first\nSteps: 20, Sampler: Euler, CFG scale: 7",
    "x\nNegative prompt: y",
    "Negative prompt:",
    "\u00e9 猫 \u{10437} \u{20bb7} \u{30000} \u{e0041} \u{f0000} \u{10fffd}",
    "half a pair \ud83c and the other \udfa8",
    "\u0000\u0001\u007f\u0085\u2028\u2029\ufeff",
    "Exact prompt: no",
  ];
  test.each(prompts.flatMap((prompt) => prompts.map((negativePrompt) => [prompt, negativePrompt] as const)))(
    "%j, negative %j",
    (prompt, negativePrompt) => {
      for (const parameters of [
        { ...full, prompt, negativePrompt },
        { prompt, negativePrompt, others: new Map<string, string>() },
      ]) {
        const file = Buffer.from(formatParameters(parameters)).toString();
        expect(parseParameters(file)).toEqual(parameters);
      }
    },
  );

  test("where any two thousand texts of awkward pieces are the prompts and values", () => {
    const random = randomGenerator(3);
    const pieces = [
      "Negative prompt:",
      "Steps: 1",
      ", ",
      ": ",
      '"',
      "\\",
      "\n",
      " ",
      "a",
      "猫",
      "\u{1f3a8}",
      "Exact prompt",
      "\r",
      "\t",
      "<lora:a:1>",
      "\\n",
    ];
    const text = () => Array.from({ length: random(8) }, () => pieces[random(pieces.length)]).join("");
    for (let i = 0; i < 2000; i++) {
      const parameters = {
        ...full,
        prompt: text(),
        negativePrompt: text(),
        model: `${text()}m`,
        others: new Map([["Other", `${text()}o`]]),
      };
      expect(parseParameters(formatParameters(parameters))).toEqual(parameters);
    }
  });
});

test("every sampler and schedule has a label that means it", () => {
  const samplers = "euler euler_ancestral heun dpm_2 dpmpp_2m dpmpp_2m_sde dpmpp_sde ddim uni_pc lcm".split(" ") as SamplerName[];
  const schedules = "normal karras exponential simple sgm_uniform beta ddim_uniform leading linspace trailing".split(" ") as ScheduleName[];
  for (const sampler of samplers) expect(parseSamplerLabel(samplerLabel(sampler))).toEqual({ sampler });
  for (const schedule of schedules) expect(parseScheduleLabel(scheduleLabel(schedule))).toBe(schedule);
  expect(parseSamplerLabel("constructor")).toBeUndefined();
});

test.each([
  ["commas", ",".repeat(2e6)],
  ["colons", ":".repeat(2e6)],
  ["fields", "a: b,".repeat(4e5)],
  ["quotes", 'a: "b,'.repeat(4e5)],
  ["open quotes", `a: "${"\\".repeat(2e6)}`],
  ["letters", "a".repeat(2e6)],
  ["lines", "\n".repeat(2e6)],
])("two million %s are read without waiting", (_what, text) => {
  expect(parseParameters(text).others.size).toBeLessThanOrEqual(1);
});
