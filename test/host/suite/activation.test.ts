import assert from "node:assert/strict";
import { findWorkers } from "../harness/processes.ts";
import { extension } from "../harness/inside.ts";
import { test } from "../harness/runner.ts";

test("activation starts no process and its time is told", async () => {
  assert.equal(extension().isActive, false, "another test activated the extension first");
  const start = performance.now();
  await extension().activate();
  console.log(`[suite]   activation took ${(performance.now() - start).toFixed(1)} ms, loading the bundle included`);
  assert.deepEqual(findWorkers(process.pid), []);
});
