import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const FOLDERS = ["formats", "models", "lora", "engines", "pipeline", "jobs", "worker", "cli", "extension", "webview"] as const;

/** The import directions of the layout: a folder, and those it may import values from besides itself. */
const MAY_IMPORT: Readonly<Record<(typeof FOLDERS)[number], readonly string[]>> = {
  formats: [],
  models: ["formats"],
  lora: ["formats", "models"],
  engines: ["formats", "models", "lora"],
  pipeline: ["formats", "models", "lora", "engines"],
  jobs: ["formats", "models", "lora", "engines", "pipeline"],
  worker: ["formats", "models", "lora", "engines", "pipeline", "jobs"],
  cli: ["formats", "models", "lora", "engines", "pipeline", "jobs"],
  extension: [],
  webview: [],
};
const TYPES_ONLY: readonly string[] = ["extension", "webview"];

interface Case {
  readonly file: string;
  readonly code: string;
  /** The rule that must speak; undefined: none may. */
  readonly rule: string | undefined;
}

function importCases(): Case[] {
  const cases: Case[] = [];
  for (const from of FOLDERS) {
    for (const to of FOLDERS) {
      const allowed = from === to || MAY_IMPORT[from].includes(to);
      const typesAllowed = allowed || TYPES_ONLY.includes(from);
      for (const [nested, up] of [
        ["", "../"],
        ["inner/", "../../"],
      ] as const) {
        const target = from === to ? "./other.ts" : `${up}${to}/other.ts`;
        const file = (kind: string) => `src/${from}/${nested}${kind}-${to}.ts`;
        const rule = (permitted: boolean) => (permitted ? undefined : "no-restricted-imports");
        cases.push({ file: file("value"), code: `import { x } from "${target}";\nexport const y = x;\n`, rule: rule(allowed) });
        cases.push({ file: file("type"), code: `import type { X } from "${target}";\nexport type Y = X;\n`, rule: rule(typesAllowed) });
        cases.push({ file: file("export"), code: `export { x } from "${target}";\n`, rule: rule(allowed) });
      }
    }
    cases.push({
      file: `src/${from}/editor.ts`,
      code: 'import { window } from "vscode";\nexport const y = window;\n',
      rule: from === "extension" ? undefined : "no-restricted-imports",
    });
  }
  const engine = 'import { Tensor } from "onnxruntime-node";\nexport const y = Tensor;\n';
  cases.push({ file: "src/extension/engine.ts", code: engine, rule: "no-restricted-imports" });
  cases.push({ file: "src/engines/engine.ts", code: engine, rule: undefined });
  // extension/worker/ is the client of worker/, not worker/ itself.
  const client = 'import { x } from "../worker/other.ts";\nexport const y = x;\n';
  cases.push({ file: "src/extension/inner/client.ts", code: client, rule: undefined });
  const asynchronous = "async function work(): Promise<number> {\n  return await Promise.resolve(1);\n}\n";
  cases.push({
    file: "src/jobs/floating.ts",
    code: `${asynchronous}export function start(): void {\n  work();\n}\n`,
    rule: "no-floating-promises",
  });
  cases.push({
    file: "src/jobs/misused.ts",
    code: `${asynchronous}export function start(): boolean {\n  if (work()) return true;\n  return false;\n}\n`,
    rule: "no-misused-promises",
  });
  return cases;
}

const CASES = importCases();
const found = new Map<string, string[]>();
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lint-imports-"));
  cpSync(join(ROOT, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  const compilerOptions = { strict: true, target: "ES2023", module: "NodeNext", noEmit: true, allowImportingTsExtensions: true, types: [] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["src"] }));
  for (const { file, code } of CASES) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), code);
  }
  const oxlint = join(ROOT, "node_modules", "oxlint", "bin", "oxlint");
  const { stdout, stderr } = spawnSync(process.execPath, [oxlint, "--type-aware", "--deny-warnings", "--format=json"], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, PATH: `${join(ROOT, "node_modules", ".bin")}:${process.env.PATH}` },
    maxBuffer: 1 << 26,
  });
  if (!stdout.startsWith("{")) throw new Error(`${stdout}\n${stderr}`);
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: { filename: string; code: string }[] };
  for (const { filename, code } of diagnostics) {
    const file = filename.replaceAll("\\", "/").replace(/^.*?(?=src\/)/, "");
    found.set(file, [...(found.get(file) ?? []), code]);
  }
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const folderOf = ({ file }: Case) => dirname(file).split("/").slice(0, 2).join("/");

test.each([...new Set(CASES.map(folderOf))])("%s", (name) => {
  const cases = CASES.filter((each) => folderOf(each) === name);
  const rules = (file: string) => (found.get(file) ?? []).map((code) => /\((.+)\)/.exec(code)?.[1]);
  expect(cases.map(({ file }) => [file, rules(file)])).toEqual(cases.map(({ file, rule }) => [file, rule === undefined ? [] : [rule]]));
});
