import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { formatsTable, withTable } from "../fixtures/lora/formats-table.ts";
import { openKinds } from "../fixtures/lora/kind-cases.ts";

it("the README's table of formats is what the cases say, all of them passed", async () => {
  const readme = await readFile(join(import.meta.dirname, "../../README.md"), "utf8");
  const { file, cases } = await openKinds();
  await file.close();
  expect(readme, "run node scripts/formats-table.ts").toBe(
    withTable(
      readme,
      formatsTable(cases, () => true),
    ),
  );
});
