import type { Progress } from "../../jobs/context.ts";

/** A quarter of the way between two words to a screen reader: each step would never let it finish. */
const PARTS = 4;

/** What a screen reader is told of a job's progress: each stage and each quarter of it. */
export function speakProgress({ stage, fraction }: Progress): string {
  const part = fraction === undefined ? 0 : Math.floor(fraction * PARTS);
  return part === 0 ? stage : `${stage}, ${Math.round((part * 100) / PARTS)} %`;
}
