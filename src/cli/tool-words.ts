import { basename } from "node:path";
import { formatBytes } from "../formats/atomic-file.ts";
import type { JobResults } from "../jobs/run.ts";

export function bakeWords({ file, bytes, changed, loras }: JobResults["bake"]): string[] {
  return [
    `checkpoint: ${file} (${formatBytes(bytes)})`,
    `  ${changed} weights changed`,
    ...loras.map(({ file: lora, scale, matched, unmatched }) => {
      const left = unmatched.length === 0 ? "" : `, ${unmatched.length} not matched`;
      return `  ${basename(lora)} × ${scale}: ${matched} modules${left}`;
    }),
  ];
}
