/* The licences of everything that others wrote and a package holds: one file, made from what was really bundled. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Compiled into the add-ons, or laid beside the bundles. */
const BESIDE_THE_BUNDLES = ["node-addon-api", "node-api-headers", "onnxruntime-common", "onnxruntime-node"];
/** Packages that are published without their licence's text: where the same text, of the same owner, stands. */
const TEXT_ELSEWHERE: Readonly<Record<string, readonly string[]>> = { "@lit-labs/ssr-dom-shim": ["lit", "LICENSE"] };
const ONNX_RUNTIME = `MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the
"Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY
CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

What ONNX Runtime itself is built of: https://github.com/microsoft/onnxruntime/blob/main/ThirdPartyNotices.txt`;
const TEXTS: Readonly<Record<string, string>> = { "onnxruntime-common": ONNX_RUNTIME, "onnxruntime-node": ONNX_RUNTIME };

interface Package {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** Folders of node_modules, "@lit/context" and "a/node_modules/b" among them, that files of a bundle come from. */
export function packagesOf(inputs: readonly string[]): string[] {
  const folders = inputs.flatMap((path) => /^(?:\.\.\/)*node_modules\/((?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []);
  return [...new Set(folders)];
}

function licenceText(root: string, name: string, folder: string): string {
  const texts = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|third-?party-?notices?)(-\w+)?(\.(txt|md))?$/i.test(file));
  if (texts.length > 0) return texts.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n");
  const elsewhere = TEXT_ELSEWHERE[name];
  const text = elsewhere ? readFileSync(join(root, "node_modules", ...elsewhere), "utf8").trim() : TEXTS[name];
  if (!text) throw new Error(`${folder} has no licence text: see to it in scripts/package/notices.ts.`);
  return text;
}

/**
 * The text of THIRD-PARTY-NOTICES.txt.
 * @param bundled what `packagesOf` gives for the bundles
 * @throws Error where a package's licence is not found
 */
export function notices(root: string, bundled: readonly string[]): string {
  const parts = [...new Set([...bundled, ...BESIDE_THE_BUNDLES])].toSorted().map((place) => {
    const folder = join(root, "node_modules", place);
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Package;
    return `${name} ${version} (${license})\n\n${licenceText(root, name, folder)}`;
  });
  const clip = readFileSync(join(root, "assets", "clip-tokenizer", "README.md"), "utf8").trim();
  return `${[...parts, `CLIP's vocabulary\n\n${clip}`].join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}
