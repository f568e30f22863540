import { describe, expect, test } from "vitest";
import { layerPlace } from "../../src/jobs/inspection/layer-place.ts";
import { StatisticsLoader } from "../../src/webview/inspector/statistics-loader.ts";
import { trainingMetadata } from "../../src/webview/inspector/training-metadata.ts";
import { chartSvg, mapSvg } from "../../src/webview/shared/figure-svg.ts";
import { largestCell, networkMap } from "../../src/webview/shared/network.ts";
import { formatBytes, formatNumber, formatShare } from "../../src/webview/shared/numbers.ts";
import { filterRows, nextSort, sortRows, toCsv, toJson, type Column } from "../../src/webview/shared/table-model.ts";

interface Row {
  readonly name: string;
  readonly norm?: number;
}

const COLUMNS: Column<Row>[] = [
  { id: "name", title: "Name", isNumeric: false, value: ({ name }) => name, text: ({ name }) => name },
  { id: "norm", title: "Norm", isNumeric: true, value: ({ norm }) => norm, text: ({ norm }) => formatNumber(norm) },
];
const ROWS: Row[] = [
  { name: "b.10", norm: 2 },
  { name: "b.9" },
  { name: 'a "x", y', norm: -1 },
  { name: "c", norm: 2 },
  { name: "d", norm: NaN },
];
const names = (rows: readonly Row[]) => rows.map(({ name }) => name);

describe("the table", () => {
  test("sorts numbers and names, what is missing last either way, equals in their order", () => {
    expect(names(sortRows(ROWS, COLUMNS, { column: "norm", descending: true }))).toEqual(["b.10", "c", 'a "x", y', "b.9", "d"]);
    expect(names(sortRows(ROWS, COLUMNS, { column: "norm", descending: false }))).toEqual(['a "x", y', "b.10", "c", "b.9", "d"]);
    expect(names(sortRows(ROWS, COLUMNS, { column: "name", descending: false }))).toEqual(['a "x", y', "b.9", "b.10", "c", "d"]);
    expect(sortRows(ROWS, COLUMNS, undefined)).toBe(ROWS);
  });

  test("a third click on a column gives the file's order back", () => {
    const norm = COLUMNS[1]!;
    const first = nextSort(undefined, norm);
    expect(first).toEqual({ column: "norm", descending: true });
    const second = nextSort(first, norm);
    expect(second).toEqual({ column: "norm", descending: false });
    expect(nextSort(second, norm)).toBeUndefined();
    expect(nextSort(first, COLUMNS[0]!)).toEqual({ column: "name", descending: false });
  });

  test.each([
    ["B.1", ["b.10"]],
    ["norm>0", ["b.10", "c"]],
    ["norm>=2 c", ["c"]],
    ["norm<0", ['a "x", y']],
    ["norm=2", ["b.10", "c"]],
    ["size>2", []],
    ["norm>x", []],
    ["   ", names(ROWS)],
  ])("the filter %s keeps %j", (filter, kept) => {
    expect(names(filterRows(ROWS, COLUMNS, filter))).toEqual(kept);
  });

  test("copies as CSV with quotes where a name needs them", () => {
    expect(toCsv(ROWS.slice(1, 3), COLUMNS)).toBe('name,norm\r\nb.9,\r\n"a ""x"", y",-1\r\n');
  });

  test("copies as JSON, what is missing left out", () => {
    expect(JSON.parse(toJson(ROWS.slice(1, 3), COLUMNS))).toEqual([{ name: "b.9" }, { name: 'a "x", y', norm: -1 }]);
  });
});

describe("places of layers", () => {
  test.each([
    ["model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight", "unet", "IN 4", "attn1 q"],
    ["lora_unet_output_blocks_2_1_transformer_blocks_9_attn2_to_out_0", "unet", "OUT 2", "attn2 out"],
    ["lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_ff_net_0_proj", "unet", "DOWN 1", "ff in"],
    ["unet.up_blocks.1.attentions.2.proj_in", "unet", "UP 1", "proj in"],
    ["lora_unet_mid_block_resnets_0_conv1", "unet", "MID", "conv 1"],
    ["model.diffusion_model.middle_block.1.proj_out.weight", "unet", "MID", "proj out"],
    ["model.diffusion_model.input_blocks.1.0.in_layers.2.weight", "unet", "IN 1", "conv 1"],
    ["model.diffusion_model.time_embed.0.weight", "unet", "other", "time"],
    ["lora_te1_text_model_encoder_layers_3_mlp_fc1", "text_encoder", "layer 3", "ff in"],
    ["lora_te2_text_model_encoder_layers_11_self_attn_k_proj", "text_encoder_2", "layer 11", "attn k"],
    ["conditioner.embedders.1.model.transformer.resblocks.7.attn.in_proj_weight", "text_encoder_2", "layer 7", "qkv"],
    ["cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc2.weight", "text_encoder", "layer 0", "ff out"],
    ["lora_unet_double_blocks_11_img_attn_qkv", "transformer", "double 11", "qkv"],
    ["transformer.single_transformer_blocks.5.attn.to_k", "transformer", "single 5", "attn k"],
    ["first_stage_model.decoder.up.2.block.1.conv2.weight", "vae", "UP 2", "conv 2"],
    ["anything", "other", "other", "other"],
  ])("%s", (name, component, block, role) => {
    expect(layerPlace(name)).toEqual({ component, block, role });
  });

  test("a map has its rows in the order of the network, and squares of several layers", () => {
    const layers = ["out_layer", "input_blocks.10.x.attn1.to_q", "input_blocks.2.x.attn1.to_q", "middle_block.1.attn1.to_k"];
    const places = [...layers, "output_blocks.0.attn1.to_q", "input_blocks.2.y.attn1.to_q", "lora_te1_text_model_layers_0_fc1"].map(
      layerPlace,
    );
    const map = networkMap(places, (indices) => (indices.includes(3) ? undefined : indices.length));
    expect(map.map(({ component }) => component)).toEqual(["unet", "text_encoder", "other"]);
    const [unet] = map;
    expect(unet!.blocks.map(({ block }) => block)).toEqual(["IN 2", "IN 10", "MID", "OUT 0"]);
    expect(unet!.roles).toEqual(["attn1 q", "attn1 k"]);
    expect(unet!.blocks[0]!.cells.get("attn1 q")).toEqual({ role: "attn1 q", layers: [2, 5], value: 2 });
    expect(unet!.blocks[2]!.cells.get("attn1 k")).toEqual({ role: "attn1 k", layers: [3] });
    expect(largestCell(map)).toBe(2);
  });
});

describe("metadata of trainers", () => {
  test("trigger words, settings as people know them, tags over all folders", () => {
    const { triggerWords, settings, tags } = trainingMetadata({
      "modelspec.trigger_phrase": "ink style, sks",
      ss_trigger_words: '["ink style", "brush"]',
      ss_network_dim: "16",
      ss_clip_skip: "None",
      ss_tag_frequency: JSON.stringify({ "10_a": { dog: 3, " cat": 1 }, "5_b": { cat: 4, bad: "many" } }),
    });
    expect(triggerWords).toEqual(["ink style", "sks", "brush"]);
    expect(settings).toEqual([["network_dim", "16"]]);
    expect(tags).toEqual([
      { tag: "cat", count: 5 },
      { tag: "dog", count: 3 },
    ]);
  });

  test("what kohya's tools write of their folders and times is readable", () => {
    const { settings } = trainingMetadata({
      ss_dataset_dirs: JSON.stringify({ "10_cat": { n_repeats: 10, img_count: 24 }, odd: null }),
      ss_training_started_at: "1700000000.5",
      ss_training_finished_at: "soon",
    });
    expect(settings).toEqual([
      ["dataset_dirs", "10_cat: 24 × 10\nodd"],
      ["training_started_at", new Date(1_700_000_000_500).toLocaleString()],
      ["training_finished_at", "soon"],
    ]);
    expect(trainingMetadata({ ss_dataset_dirs: "[broken" }).settings).toEqual([["dataset_dirs", "[broken"]]);
  });

  test.each(["", "{", "[1]", '{"a":[]}', '{"a":{"b":null}}', '{"__proto__":{"x":1}}'])("whatever stands in tag frequencies: %s", (text) => {
    expect(trainingMetadata({ ss_tag_frequency: text, ss_training_started_at: text }).tags.every(({ count }) => count > 0)).toBe(true);
  });
});

test("numbers are written alike everywhere", () => {
  expect([undefined, 0, 1, 0.012344, 123456, 1.5e-7, -2, Infinity].map(formatNumber)).toEqual([
    "—",
    "0",
    "1.000",
    "0.01234",
    "1.235e+5",
    "1.500e-7",
    "-2.000",
    "Infinity",
  ]);
  expect([0, 0.123456, undefined].map(formatShare)).toEqual(["0 %", "12.3 %", "—"]);
  expect([999, 1000, 999_999, 170e6, 6.9e9].map(formatBytes)).toEqual(["999 B", "1.0 kB", "1.0 MB", "170.0 MB", "6.9 GB"]);
});

describe("figures as files", () => {
  const style = { ground: "#ffffff", ink: "#000000", muted: "#777777", accent: "#0000ff", second: "#ff8800", isDark: false };

  test("names with markup stay text", () => {
    const svg = chartSvg(
      { title: "<script>&", x: [0, 1], xLabel: "x", yLabel: "y", isLog: false, series: [{ label: "y", y: [1, 2], kind: "bars" }] },
      style,
      formatNumber,
    );
    expect(svg).not.toContain("<script>");
    expect(svg).toContain("&lt;script&gt;&amp;");
    expect(svg.match(/<rect /g)).toHaveLength(3);
  });

  test("a map has a square for each cell", () => {
    const components = networkMap([layerPlace("input_blocks.2.attn1.to_q"), layerPlace("input_blocks.2.attn1.to_k")], () => 1);
    const svg = mapSvg({ title: "t", legend: "l", components, names: (name) => name, number: formatNumber }, style);
    expect(svg.match(/<rect x=/g)).toHaveLength(2);
  });
});

describe("asking for statistics", () => {
  const row = (layer: number) => ({ name: String(layer), kind: "LoRA", nan: 0, infinite: 0 });

  test("every layer once, those that are looked at first, and a stop that can be gone on from", async () => {
    const asked: number[] = [];
    let end: (value: unknown) => void = () => {};
    const ended = new Promise((resolve) => (end = resolve));
    const loader = new StatisticsLoader(50, {
      ask: (layers) => {
        asked.push(...layers);
        if (asked.length > 20 && asked.length < 40) loader.stop();
        return Promise.resolve(layers.map(row));
      },
      onRows: () => {},
      onEnd: end,
    });
    loader.prefer([30, 31]);
    loader.start();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(loader.isRunning).toBe(false);
    expect(asked.slice(0, 4)).toEqual([30, 31, 0, 1]);
    loader.start();
    expect(await ended).toBeUndefined();
    expect(new Set(asked)).toEqual(new Set(Array.from({ length: 50 }, (_, index) => index)));
    expect(loader.missing).toBe(0);
  });

  test("a failure ends it and is told", async () => {
    const failed = await new Promise((resolve) => {
      const loader = new StatisticsLoader(3, { ask: () => Promise.reject(new Error("gone")), onRows: () => {}, onEnd: resolve });
      loader.start();
    });
    expect(failed).toMatchObject({ message: "gone" });
  });
});
