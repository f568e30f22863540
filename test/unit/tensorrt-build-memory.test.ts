import { describe, expect, test } from "vitest";
import { checkBuildMemory } from "../../src/engines/tensorrt/build-memory.ts";

const GB = 1e9;
const gpu = { name: "GeForce RTX 4060", computeCapability: 89, driver: 12_080, freeBytes: 7 * GB, totalBytes: 8 * GB };

describe("what a build needs", () => {
  test("is stated in figures", () => {
    expect(checkBuildMemory("unet", 1.7 * GB, gpu, 16 * GB)).toBe("about 5.10 GB of memory, 3.28 GB on the GPU");
    expect(checkBuildMemory("unet", 1.7 * GB, undefined, 16 * GB)).toBe("about 5.10 GB of memory");
  });

  test("more memory than there is: refused with what to do", () => {
    expect(() => checkBuildMemory("unet", 5.2 * GB, undefined, 8 * GB)).toThrow(
      "Building the unet needs about 15.6 GB of memory, of which 8.00 GB are free. Close other programs, or build on a machine with more.",
    );
  });

  test("more than the whole GPU has: refused; what other programs hold now is not", () => {
    expect(() => checkBuildMemory("unet", 6 * GB, gpu, 64 * GB)).toThrow(
      /^Building the unet needs about 8\.87 GB on the GPU; GeForce RTX 4060 has 8\.00 GB\./,
    );
    expect(checkBuildMemory("unet", 5 * GB, { ...gpu, freeBytes: 0 }, 64 * GB)).toMatch(/on the GPU$/);
  });
});
