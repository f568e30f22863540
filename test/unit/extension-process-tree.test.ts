import type { ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import { afterEach, expect, test, vi } from "vitest";
import { endProcessTree } from "../../src/extension/tasks/processTree.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Ends a process whose group answers each signal with an error of this code. */
function endRefused(code: string) {
  vi.useFakeTimers();
  const kill = vi.spyOn(process, "kill").mockImplementation(() => {
    throw Object.assign(new Error(code), { code });
  });
  endProcessTree(Object.assign(new EventEmitter(), { pid: 77, exitCode: null, signalCode: null }) as unknown as ChildProcess);
  vi.runAllTimers();
  return kill.mock.calls;
}

test.skipIf(process.platform === "win32").each(["ESRCH", "EPERM"])(
  "a group that answers %s is nobody's to end: nothing is thrown",
  (code) => {
    expect(endRefused(code)).toEqual([
      [-77, "SIGINT"],
      [-77, "SIGKILL"],
    ]);
  },
);

test.skipIf(process.platform === "win32")("any other error is a defect", () => {
  expect(() => endRefused("EINVAL")).toThrow("EINVAL");
});
