import { describe, expect, test, vi } from "vitest";
import type { ComparisonDetail } from "../../src/jobs/comparison/types.ts";
import { comparisonDetailCsv, spectrumFigure } from "../../src/webview/compare/detail-figures.ts";
import { detailCsv, histogramFigure, spectrumFigure as layerSpectrum } from "../../src/webview/inspector/detail-figures.ts";
import { DetailLoader, type OpenDetail } from "../../src/webview/shared/detail-loader.ts";
import { chartSvg } from "../../src/webview/shared/figure-svg.ts";
import { commonWords, lastPart, shortName } from "../../src/webview/shared/layer-names.ts";

test("the detail asked for last is shown, whatever comes first", async () => {
  const answers: ((text: string) => void)[] = [];
  const signals: AbortSignal[] = [];
  const changed = vi.fn<(open: OpenDetail<string>) => void>();
  const loader = new DetailLoader<string>((_, signal) => {
    signals.push(signal);
    return new Promise((resolve) => answers.push(resolve));
  }, changed);
  loader.open(3);
  expect(loader.current).toEqual({ layer: 3 });
  loader.open(5);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
  answers[1]!("five");
  answers[0]!("three");
  await vi.waitFor(() => expect(changed).toHaveBeenCalledOnce());
  expect(loader.current).toEqual({ layer: 5, detail: "five" });
  loader.close();
  expect(loader.current).toBeUndefined();
});

test("a detail that is refused says why, one that was closed nothing", async () => {
  const changed = vi.fn<(open: OpenDetail<string>) => void>();
  const loader = new DetailLoader<string>((layer) => Promise.reject(new Error(`no layer ${layer}`)), changed);
  loader.open(1);
  loader.open(2);
  await vi.waitFor(() => expect(changed).toHaveBeenCalledWith({ layer: 2, error: "no layer 2" }));
  expect(changed).toHaveBeenCalledOnce();
  loader.open(3);
  loader.close();
  await new Promise((resolve) => setTimeout(resolve));
  expect(changed).toHaveBeenCalledOnce();
});

test.each([
  [["in.1.attn.q", "in.1.attn.q"], "in.1.attn.q"],
  [["in.1.a.attn.q", "in.1.b.attn.q"], "in.1. .attn.q"],
  [["abc", "xyz"], ""],
  [["aa", "aaa"], "aa"],
  [["only"], "only"],
  [[], ""],
])("the words that find %j: %s", (names, words) => {
  expect(commonWords(names)).toBe(words);
});

test("names are short where all of a file begin and end alike", () => {
  expect(shortName("model.diffusion_model.input_blocks.1.0.weight")).toBe("input_blocks.1.0");
  expect(shortName("lora_unet_mid_block")).toBe("mid_block");
  expect([lastPart("/models/a.safetensors"), lastPart("C:\\models\\b"), lastPart("SDXL")]).toEqual(["a.safetensors", "b", "SDXL"]);
});

test("a detail as CSV: one number a line, the histogram by the middles of its bins", () => {
  const csv = detailCsv({
    statistics: { name: "x", kind: "LoRA", nan: 0, infinite: 0 },
    rows: 2,
    columns: 2,
    singularValues: [3, 0.5],
    histogram: { from: -1, to: 1, counts: [4, 0] },
    topRows: [{ index: 1, norm: 2 }],
    topColumns: [{ index: 0, norm: 1.5 }],
  });
  expect(csv.split("\r\n")).toEqual([
    "what,index,value",
    "singular value,1,3",
    "singular value,2,0.5",
    "row norm,1,2",
    "column norm,0,1.5",
    "count,-0.5,4",
    "count,0.5,0",
    "",
  ]);
});

describe("the figures of a layer", () => {
  const known = { statistics: { name: "x", kind: "LoRA", nan: 0, infinite: 0 }, rows: 2, columns: 2 };
  const texts = {
    spectrum: "s",
    spectrumX: "i",
    spectrumY: "σ",
    spectrumEnergy: "energy",
    histogram: "h",
    histogramX: "x",
    histogramY: "n",
  };

  test("the energy curve rises to all of ‖Δ‖², on an axis of its own", () => {
    const { series } = layerSpectrum({ ...known, singularValues: [2, 1, 1, 0] }, texts);
    expect(series[0]!.y).toEqual([2, 1, 1, 0]);
    expect(series[1]).toMatchObject({ isShare: true, y: [4 / 6, 5 / 6, 1, 1] });
    // Nothing has no energy.
    expect(layerSpectrum({ ...known, singularValues: [0, 0] }, texts).series[1]!.y).toEqual([0, 0]);
  });

  test("the histogram has its bins' middles; where it is logarithmic, empty ones are below one", () => {
    const detail = { ...known, histogram: { from: -1, to: 1, counts: [3, 0, 1, 0] } };
    const linear = histogramFigure(detail, false, texts);
    expect([linear.x, linear.series[0]!.y, linear.isLog]).toEqual([[-0.75, -0.25, 0.25, 0.75], [3, 0, 1, 0], false]);
    const logarithmic = histogramFigure(detail, true, texts);
    expect([logarithmic.series[0]!.y, logarithmic.isLog]).toEqual([[3, 0.5, 1, 0.5], true]);
  });
});

describe("the detail of a comparison", () => {
  const detail: ComparisonDetail = {
    comparison: { name: "x", component: "unet", block: "MID", role: "conv", in: "both", normA: 5, cosine: 0.5 },
    rows: 4,
    columns: 4,
    singularValuesA: [4, 3],
    singularValuesB: [2],
    singularValuesDifference: [4, 3, 1],
    maximum: 0.25,
  };
  const texts = { spectrum: "Singular values", spectrumX: "number", spectrumY: "value" };

  test("has a curve for each side and a dashed one for the difference, each as long as its rank", () => {
    const figure = spectrumFigure(detail, true, texts);
    expect(figure.x).toEqual([1, 2, 3]);
    expect(figure.series.map(({ label, y, kind }) => [label, y.length, kind])).toEqual([
      ["A", 2, "line"],
      ["B", 1, "line"],
      ["B − A", 3, "dashes"],
    ]);
    const style = { ground: "#fff", ink: "#000", muted: "#888", accent: "#00f", second: "#f80", isDark: false };
    const svg = chartSvg({ ...figure, title: "a & b" }, style, String);
    expect(
      svg.match(/<polyline [^>]*>/g)?.map((line) => [/points='([^']*)'/.exec(line)![1]!.split(" ").length, line.includes("dash")]),
    ).toEqual([
      [2, false],
      [1, false],
      [3, true],
    ]);
    expect(svg).toContain("fill='#000'>B − A</tspan>");
    expect(svg).toContain("a &amp; b");
  });

  test("of what a stack changes has its own curve alone", () => {
    const { singularValuesB: _, ...alone } = detail;
    expect(spectrumFigure(alone, false, texts).series.map(({ label }) => label)).toEqual(["A"]);
  });

  test("is copied number by number", () => {
    expect(comparisonDetailCsv(detail).split("\r\n")).toEqual([
      "what,index,value",
      "normA,,5",
      "cosine,,0.5",
      "maximum,,0.25",
      "singular value of A,1,4",
      "singular value of A,2,3",
      "singular value of B,1,2",
      "singular value of B − A,1,4",
      "singular value of B − A,2,3",
      "singular value of B − A,3,1",
      "",
    ]);
  });
});
