/* What a package has to hold, file by file: test/fixtures/vsix/contents.json. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Target, TARGETS, TENSORRT_ADD_ONS } from "./targets.ts";

const FIXTURE = join(import.meta.dirname, "..", "..", "test", "fixtures", "vsix", "contents.json");

/** Every file of a target's package, with "/". */
export function contents(target: Target, hasTensorRt: boolean): string[] {
  const common = JSON.parse(readFileSync(FIXTURE, "utf8")) as string[];
  const binaries = `node_modules/onnxruntime-node/bin/napi-v6/${target.replace("-", "/")}`;
  const own = [...TARGETS[target].libraries, "onnxruntime_binding.node"].map((name) => `${binaries}/${name}`);
  const tensorrt = hasTensorRt ? TENSORRT_ADD_ONS.map((name) => `build/Release/${name}`) : [];
  return [...common, ...own, ...tensorrt].toSorted();
}

/** What a package holds too much ("+ …") and too little ("- …"). */
export function differences(target: Target, hasTensorRt: boolean, files: readonly string[]): string[] {
  const wanted = contents(target, hasTensorRt);
  const found = files.map((file) => file.replaceAll("\\", "/"));
  return [
    ...found.filter((file) => !wanted.includes(file)).map((file) => `+ ${file}`),
    ...wanted.filter((file) => !found.includes(file)).map((file) => `- ${file}`),
  ].toSorted();
}
