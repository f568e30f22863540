import { z } from "zod";

/** What running a component once after its build gave; a failed one fails the export, so that none is ever stored. */
export const selfTestSchema = z.strictObject({
  component: z.string().regex(/^[a-z0-9_]+$/),
  outcome: z.enum(["passed", "not run"]),
  /** Smallest of its outputs', against ONNX Runtime on the same input. */
  cosine: z.number().min(-1).max(1).optional(),
  /** Whether weights were changed and set back as well, with the base's bits afterwards. */
  refit: z.boolean().optional(),
  /** Why it was not run. */
  reason: z.string().optional(),
});

export type SelfTest = z.infer<typeof selfTestSchema>;

/** "passed (cosine 0.999998, refit and back)", "not run: no GPU" */
export function describeSelfTest({ outcome, cosine, refit, reason }: SelfTest): string {
  if (outcome === "not run") return `not run: ${reason ?? "no reason was kept"}`;
  return `passed (cosine ${cosine?.toFixed(6) ?? "not kept"}${refit ? ", refit and back" : ""})`;
}
