import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "vitest";

/**
 * Mounts an empty disk of its own for one test, which is skipped where this process may not mount one: it takes Linux's root, and not in
 * every container.
 * @param size as mount takes it: "1m"
 * @returns the folder that it is mounted on, until the test has ended
 */
export function mountSmallDisk({ skip, onTestFinished }: TestContext, size: string): string {
  if (process.platform !== "linux" || process.getuid?.() !== 0) skip("a disk can be mounted by Linux's root only");
  const disk = mkdtempSync(join(tmpdir(), "tensorrt-redux-disk-"));
  onTestFinished(() => rmdirSync(disk));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", disk], { stdio: "ignore" });
  } catch {
    skip("this process may not mount a disk");
  }
  // Before the folder is removed: what is registered last is called first.
  onTestFinished(() => {
    execFileSync("umount", [disk]);
  });
  return disk;
}
