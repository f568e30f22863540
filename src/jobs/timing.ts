import { performance } from "node:perf_hooks";
import type { JobContext, Preview } from "./context.ts";

/** Milliseconds between two reports of a stage: more often is only noise, on a terminal and in a pipe. */
const REPORT_INTERVAL = 100;

/** Reports a stage's progress with the time left, as the time so far foretells it; its beginning, its end and previews always. */
export function stageProgress(
  context: JobContext,
  stage: string,
): (done: number, total: number, message?: string, preview?: Preview) => void {
  const started = performance.now();
  let reported = -Infinity;
  return (done, total, message, preview) => {
    const now = performance.now();
    const fraction = total === 0 ? 1 : done / total;
    if (fraction < 1 && !preview && now - reported < REPORT_INTERVAL) return;
    reported = now;
    const elapsed = (now - started) / 1000;
    // Before a twentieth is done the guess would jump about.
    const secondsLeft = fraction >= 0.05 && elapsed > 0.5 ? (elapsed / fraction) * (1 - fraction) : undefined;
    context.progress({
      stage,
      fraction,
      ...(message !== undefined && { message }),
      ...(secondsLeft !== undefined && { secondsLeft }),
      ...(preview && { preview }),
    });
  };
}
