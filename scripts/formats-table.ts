/*
 * Fills the README's table of LoRA formats from a run of their tests: `node scripts/formats-table.ts`. A test fails where the table
 * is not what the cases say (test/unit/lora-table.test.ts).
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatsTable, withTable } from "../test/fixtures/lora/formats-table.ts";
import { openKinds } from "../test/fixtures/lora/kind-cases.ts";

interface TestResults {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly ancestorTitles: readonly string[]; readonly status: string }[];
  }[];
}

const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "formats-table-"));
const output = join(folder, "results.json");
const vitest = join(root, "node_modules/vitest/vitest.mjs");
const tests = ["test/unit/lora-kinds.test.ts", "test/unit/lora-refusals.test.ts"];
spawnSync(process.execPath, [vitest, "run", ...tests, "--reporter=json", `--outputFile=${output}`], {
  cwd: root,
  stdio: "inherit",
});
const { testResults } = JSON.parse(readFileSync(output, "utf8")) as TestResults;
rmSync(folder, { recursive: true });

const failed = new Set<string>();
const ran = new Set<string>();
for (const { ancestorTitles, status } of testResults.flatMap(({ assertionResults }) => assertionResults)) {
  const name = ancestorTitles[0] ?? "";
  ran.add(name);
  if (status !== "passed") failed.add(name);
}
const { file, cases } = await openKinds();
await file.close();
const readme = join(root, "README.md");
const table = formatsTable(cases, (name) => ran.has(name) && !failed.has(name));
writeFileSync(readme, withTable(readFileSync(readme, "utf8"), table));
console.log(`${ran.size} cases and refusals, ${failed.size} with a failed test`);
