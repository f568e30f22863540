import { describe, expect, test } from "vitest";
import { toJob, type JobSurroundings } from "../../src/extension/generation/request.ts";
import type { PromptDescription } from "../../src/worker/protocol.ts";
import { generateOptionsSchema, gridOptionsSchema, samplerSchema, scheduleSchema, gridOptionSchema } from "../../src/jobs/options.ts";
import { AXIS_OPTIONS, checkForm } from "../../src/webview/generation/model/check.ts";
import { complete, insertTag, tagAt } from "../../src/webview/generation/model/completion.ts";
import { latestForm, restoreForm, type Field, type GenerationForm } from "../../src/webview/generation/model/form.ts";
import { restoreParameters } from "../../src/webview/generation/model/restore.ts";
import { sizePresets } from "../../src/webview/generation/model/sizes.ts";
import type { EngineChoice, LoraChoice } from "../../src/webview/generation/protocol.ts";

const NAMES = { samplers: samplerSchema.options, schedules: scheduleSchema.options };

const ENGINE: EngineChoice = {
  path: "/engines/base",
  name: "base",
  detail: "SDXL",
  architecture: "sdxl",
  fingerprint: "abcdef0123456789",
  batch: { min: 1, opt: 1, max: 4 },
  width: { min: 512, opt: 1024, max: 1536 },
  height: { min: 512, opt: 1024, max: 1536 },
  takesImage: true,
};

const FORM: GenerationForm = {
  engine: ENGINE.path,
  prompt: "red apple",
  negative: "",
  width: "",
  height: "",
  steps: "20",
  cfg: "7",
  cfgRescale: "0",
  sampler: "euler",
  schedule: "normal",
  seed: "0",
  seedMode: "random",
  batch: "1",
  source: "",
  strength: "0.75",
  isGrid: false,
  x: { option: "cfg", lora: "", values: "2, 4, 7" },
  y: { option: "", lora: "", values: "" },
};

const check = (change: Partial<GenerationForm>, engine: EngineChoice | undefined = ENGINE) =>
  checkForm({ ...FORM, ...change }, engine, NAMES);

describe("the form against the engine's profile", () => {
  test("what is left empty is what the engine is tuned for", () => {
    expect(check({}).values).toMatchObject({ engine: "/engines/base", width: 1024, height: 1024, steps: 20, batch: 1 });
    expect(check({}).values).not.toHaveProperty("seed");
  });

  test.each<[Partial<GenerationForm>, Field, string, readonly unknown[]]>([
    [{ width: "1540" }, "width", "outOfRange", [512, 1536]],
    [{ width: "1001" }, "width", "notMultiple", [8, 1000, 1008]],
    [{ height: "wide" }, "height", "needsWhole", []],
    [{ height: "640.5" }, "height", "needsWhole", []],
    [{ steps: "0" }, "steps", "outOfRange", [1, 10_000]],
    [{ steps: "" }, "steps", "needsWhole", []],
    [{ batch: "5" }, "batch", "outOfRange", [1, 4]],
    [{ cfg: "-1" }, "cfg", "needsNumber", []],
    [{ cfg: "7,x" }, "cfg", "needsNumber", []],
    [{ cfgRescale: "1.5" }, "cfgRescale", "outOfRange", [0, 1]],
    [{ seed: "x", seedMode: "keep" }, "seed", "needsSeed", []],
    [{ source: "a.png", strength: "0" }, "strength", "outOfRange", [0.01, 1]],
    [{ sampler: "ddpm" }, "sampler", "unknownValue", ["ddpm"]],
    [{ schedule: "fast" }, "schedule", "unknownValue", ["fast"]],
    [{ isGrid: true, x: { option: "cfg", lora: "", values: "2, many" } }, "x", "unknownValue", ["many"]],
    [{ isGrid: true, x: { option: "cfg", lora: "", values: " , " } }, "x", "needsValues", []],
    [{ isGrid: true, x: { option: "", lora: "", values: "1" } }, "x", "needsValues", []],
    [{ isGrid: true, x: { option: "lora", lora: "", values: "1" } }, "x", "needsLora", []],
    [{ isGrid: true, x: { option: "steps", lora: "", values: "1.5" } }, "x", "unknownValue", ["1.5"]],
    [{ isGrid: true, x: { option: "strength", lora: "", values: "0" } }, "x", "unknownValue", ["0"]],
    [{ isGrid: true, y: { option: "cfg", lora: "", values: "1" } }, "y", "sameAxes", []],
  ])("%j: a problem of %s", (change, field, text, values) => {
    const { problems, values: asked } = check(change);
    expect(problems).toEqual({ [field]: { text, values } });
    expect(asked).toBeUndefined();
  });

  test("a static engine names its one size", () => {
    const only = { min: 768, opt: 768, max: 768 };
    const { problems } = check({ width: "1024" }, { ...ENGINE, width: only, height: only });
    expect(problems.width).toEqual({ text: "onlyOne", values: [768] });
    expect(check({}, { ...ENGINE, width: only, height: only }).values).toMatchObject({ width: 768, height: 768 });
  });

  test("without an engine, of one that cannot run here, and of one that cannot start from a picture", () => {
    expect(checkForm(FORM, undefined, NAMES).problems.engine?.text).toBe("needsEngine");
    expect(check({}, { ...ENGINE, problem: "No GPU." }).problems.engine).toEqual({ text: "cannotRun", values: ["No GPU."] });
    expect(check({ source: "a.png" }, { ...ENGINE, takesImage: false }).problems.source).toEqual({
      text: "takesNoImage",
      values: ["base"],
    });
  });

  test("numbers may have a comma; seeds may have 64 bits; a seed that is not used is not read", () => {
    expect(check({ cfg: "7,5" }).values?.cfg).toBe(7.5);
    expect(check({ seed: "18446744073709551615", seedMode: "next" }).values?.seed).toBe("18446744073709551615");
    expect(check({ seed: "x" }).problems).toEqual({});
  });

  test("the axes of a grid", () => {
    const x = { option: "lora", lora: "/loras/ink.safetensors", values: "0; 0.5, 1" };
    const y = { option: "sampler", lora: "", values: "euler,ddim" };
    expect(check({ isGrid: true, x, y }).values?.grid).toEqual({
      x: { option: "lora", lora: "/loras/ink.safetensors", values: [0, 0.5, 1] },
      y: { option: "sampler", values: ["euler", "ddim"] },
    });
    expect(AXIS_OPTIONS.toSorted()).toEqual(gridOptionSchema.options.toSorted());
  });

  test("what the form allows, the job takes", () => {
    const { values } = check({ isGrid: true, y: { option: "seed", lora: "", values: "1,2" }, source: "a.png" });
    const { grid, ...rest } = values!;
    expect(generateOptionsSchema.safeParse(rest).success).toBe(true);
    const { batch: _one, ...shared } = rest;
    expect(gridOptionsSchema.safeParse({ ...shared, ...grid }).success).toBe(true);
  });
});

test.each<[unknown, Partial<GenerationForm>]>([
  [undefined, {}],
  ["text", {}],
  [{ prompt: "kept", steps: 30, unknown: 1 }, { prompt: "kept" }],
  [{ seedMode: "sometimes", isGrid: "yes", x: { values: "1" }, y: 3 }, { x: { ...FORM.x, values: "1" } }],
])("a form that was kept as %j", (kept, change) => {
  expect(restoreForm(kept, FORM)).toEqual({ ...FORM, ...change });
});

describe("sizes to choose from", () => {
  test("all are in the profile, of about the pixels it is tuned for", () => {
    const presets = sizePresets(ENGINE);
    expect(presets[0]).toEqual({ width: 1024, height: 1024 });
    expect(presets).toContainEqual({ width: 1344, height: 768 });
    for (const { width, height } of presets) {
      expect(check({ width: String(width), height: String(height) }).problems).toEqual({});
      expect(Math.abs(Math.log((width * height) / 1024 ** 2))).toBeLessThan(0.1);
    }
  });

  test("a static engine has one; an engine without a profile none", () => {
    const only = { min: 512, opt: 512, max: 512 };
    expect(sizePresets({ width: only, height: only })).toEqual([{ width: 512, height: 512 }]);
    expect(sizePresets({})).toEqual([]);
  });
});

describe("names of LoRAs while they are typed", () => {
  const lora = (name: string, more: Partial<LoraChoice> = {}): LoraChoice => ({ file: `/loras/${name}`, name, detail: "", ...more });
  const LORAS = [lora("blue-ink"), lora("ink"), lora("pink"), lora("i_no_kink"), lora("inkwell", { architecture: "sd1" }), lora("other")];

  test.each([
    ["a <l", ""],
    ["a <lo", ""],
    ["a <lora:", ""],
    ["a <lora:in", "in"],
    ["a <LoRA:in", "in"],
  ])("%j", (text, name) => {
    expect(tagAt(text, text.length)).toEqual({ from: 2, name });
  });

  test.each(["a <", "a <lora:ink:", "a <lora:ink:1>", "a b", "<b", "<lora:ink>"])("%j is no name that is being typed", (text) => {
    expect(tagAt(text, text.length)).toBeUndefined();
  });

  test("best matches first; those of other models last", () => {
    const names = (typed: string) => complete(LORAS, typed, ENGINE).map(({ name }) => name);
    expect(names("ink")).toEqual(["ink", "blue-ink", "i_no_kink", "pink", "inkwell"]);
    expect(names("ik")).toEqual(["blue-ink", "i_no_kink", "ink", "pink", "inkwell"]);
    expect(names("xyz")).toEqual([]);
    expect(names("")[0]).toBe("blue-ink");
  });

  test("a delta of another checkpoint comes last", () => {
    const deltas = [
      lora("a", { architecture: "sdxl", fingerprint: "other" }),
      lora("b", { architecture: "sdxl", fingerprint: ENGINE.fingerprint! }),
    ];
    expect(complete(deltas, "", ENGINE).map(({ name }) => name)).toEqual(["b", "a"]);
  });

  test("the chosen one stands where it was typed, its scale selected; a scale that is there stays", () => {
    const text = "red <lora:in apple";
    const edited = insertTag(text, tagAt(text, 12)!, 12, "ink");
    expect(edited.text).toBe("red <lora:ink:1> apple");
    expect(edited.text.slice(...edited.selection)).toBe("1");
    const again = insertTag("<lora:in:0.7> a", tagAt("<lora:in", 8)!, 8, "ink");
    expect(again.text).toBe("<lora:ink:0.7> a");
    expect(again.text.slice(...again.selection)).toBe("0.7");
  });
});

describe("settings of a picture", () => {
  const picture = { prompt: "a <lora:ink:0.5>", negativePrompt: "b", others: {} };

  test("everything that it says is taken over, and the engine of the same checkpoint", () => {
    const parameters = {
      ...picture,
      steps: 12,
      cfgScale: 4.5,
      sampler: "ddim",
      schedule: "karras",
      seed: "99",
      size: { width: 768, height: 1024 },
      modelHash: "abcdef0123",
      denoisingStrength: 0.4,
      others: { "CFG rescale": "0.7" },
    } as const;
    const { form, unknown } = restoreParameters({ ...FORM, engine: "/engines/other", isGrid: true }, parameters, [ENGINE]);
    expect(form).toEqual({
      ...FORM,
      prompt: "a <lora:ink:0.5>",
      negative: "b",
      steps: "12",
      cfg: "4.5",
      cfgRescale: "0.7",
      sampler: "ddim",
      schedule: "karras",
      seed: "99",
      seedMode: "keep",
      width: "768",
      height: "1024",
      strength: "0.4",
    });
    expect(unknown).toEqual([]);
  });

  test("what is not understood is named and left", () => {
    const { form, unknown } = restoreParameters(
      FORM,
      { ...picture, modelHash: "ffff", others: { Sampler: "DPM fast", "Clip skip": "2" } },
      [ENGINE],
    );
    expect(unknown).toEqual(["Sampler: DPM fast"]);
    expect([form.sampler, form.engine, form.seedMode]).toEqual(["euler", ENGINE.path, "random"]);
  });
});

describe("the job that the form asks for", () => {
  const described = (text: string, more: Partial<PromptDescription> = {}): PromptDescription => ({
    text,
    tokens: 1,
    room: 75,
    loras: [],
    ...more,
  });
  const job = (change: Partial<GenerationForm>, surroundings: Partial<JobSurroundings> = {}) => {
    const form = { ...FORM, ...change };
    return toJob(
      { form, values: checkForm(form, ENGINE, NAMES).values! },
      {
        prompts: [described(form.prompt), described("")],
        stack: [{ file: "/loras/stack.safetensors", scale: 0.5 }],
        loras: [{ file: "/loras/ink.safetensors", name: "ink", detail: "" }],
        backend: "auto",
        base: "auto",
        seed: "7",
        unknownLora: (name) => `no ${name}`,
        ...surroundings,
      },
    );
  };

  test("the stack's LoRAs, then those of the prompt, with previews", () => {
    const prompts = [described("red  apple", { loras: [{ name: "ink", scale: 0.7, textEncoderScale: 0.2 }] }), described("")] as const;
    const made = job({ prompt: "red <lora:ink:0.7:0.2> apple" }, { prompts });
    expect(made).toMatchObject({ kind: "generate", options: { prompt: "red apple", seed: "7", previewEvery: 1, batch: 1 } });
    expect("options" in made && made.options.lora).toEqual([
      { file: "/loras/stack.safetensors", scale: 0.5 },
      { file: "/loras/ink.safetensors", scale: 0.7, textEncoderScale: 0.2 },
    ]);
    expect("options" in made && generateOptionsSchema.safeParse(made.options).success).toBe(true);
  });

  test("a prompt without LoRAs stays as it was typed; strength goes with a picture alone", () => {
    expect(job({ prompt: " a\n  b " })).toMatchObject({ options: { prompt: " a\n  b " } });
    expect(job({})).not.toHaveProperty("options.strength");
    expect(job({ source: "/a.png" })).toMatchObject({ options: { image: "/a.png", strength: 0.75 } });
  });

  test("a grid", () => {
    const made = job({ isGrid: true, y: { option: "seed", lora: "", values: "1, 2" } });
    expect(made).toMatchObject({
      kind: "grid",
      options: { x: { option: "cfg", values: [2, 4, 7] }, y: { option: "seed", values: ["1", "2"] } },
    });
    expect("options" in made && gridOptionsSchema.safeParse(made.options).error).toBeUndefined();
  });

  test("what cannot be read or found is the prompt's problem", () => {
    const unknown = [described("", { loras: [{ name: "other", scale: 1 }] }), described("")] as const;
    expect(job({}, { prompts: unknown })).toEqual({ field: "prompt", message: "no other" });
    expect(job({}, { prompts: [described("", { problem: "bad" }), described("")] })).toEqual({ field: "prompt", message: "bad" });
    expect(job({}, { prompts: [described(""), described("", { problem: "worse" })] })).toEqual({ field: "negative", message: "worse" });
  });
});

test("of the form that the page kept and the workspace's, the last one comes back, whoever has it", () => {
  const [older, newer] = [
    { form: { ...FORM, steps: "600" }, at: 1 },
    { form: { ...FORM, steps: "4" }, at: 2 },
  ];
  expect(latestForm([older, newer], FORM).steps).toBe("4");
  expect(latestForm([newer, older], FORM).steps).toBe("4");
  expect(latestForm([undefined, older], FORM).steps).toBe("600");
  for (const kept of [[undefined, undefined], [null, 3], [FORM], [{ at: "1", form: older.form }], [{ at: 1 }]])
    expect(latestForm(kept, FORM)).toEqual(FORM);
});
