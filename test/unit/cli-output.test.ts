import { stderr } from "node:process";
import { afterEach, expect, test, vi } from "vitest";
import { Output } from "../../src/cli/output.ts";

const { isTTY } = stderr;

afterEach(() => {
  vi.restoreAllMocks();
  stderr.isTTY = isTTY;
});

/** What a terminal of 80 columns is shown of a job's progress. */
function barOf(secondsLeft: number): string {
  const written = vi.spyOn(stderr, "write").mockReturnValue(true);
  stderr.isTTY = true;
  new Output({ json: false, logLevel: "warn" }).progress({ stage: "sampling", fraction: 0.5, message: "step 5/10", secondsLeft });
  return String(written.mock.lastCall?.[0]);
}

test.each([
  [0.2, "1 s"],
  [59, "59 s"],
  [59.5, "1 min 0 s"],
  [119.7, "2 min 0 s"],
  [125, "2 min 5 s"],
])("of %d seconds a bar says %s", (seconds, text) => {
  expect(barOf(seconds)).toBe(`[############------------] 50% sampling step 5/10 ${text} left`);
});
