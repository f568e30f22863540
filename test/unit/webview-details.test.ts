import { expect, test, vi } from "vitest";
import { detailCsv } from "../../src/webview/inspector/detail-csv.ts";
import { DetailLoader, type OpenDetail } from "../../src/webview/shared/detail-loader.ts";
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
