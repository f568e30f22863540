import { UserError } from "../formats/errors.ts";
import type { Recognition } from "./recognition.ts";

const SUPPORTED = "supported are Stable Diffusion 1.x and 2.x, SDXL and the SDXL refiner";

const ADVICE: Readonly<Record<Recognition["kind"], string>> = {
  lora: "not a checkpoint. Give the checkpoint it belongs to here, and this file to --lora or to `delta`",
  delta: "not a checkpoint. Give the checkpoint it belongs to here, and this file to --lora",
  embedding: `not a checkpoint; ${SUPPORTED}`,
  control: `not a checkpoint; ${SUPPORTED}`,
  part: "not a whole checkpoint. Give a file or folder that holds the UNet too",
  later: `recognised but not supported yet: exporting it comes later; ${SUPPORTED} for now`,
  other: `not supported; ${SUPPORTED}`,
};

/** The error for a file that is something else than a checkpoint that can be exported. */
export function refusal(path: string, { kind, label }: Recognition): UserError {
  const sentence =
    kind === "later"
      ? `${label} is ${ADVICE.later}`
      : kind === "other"
        ? `its keys are those of ${label}, which is ${ADVICE.other}`
        : `this is ${label}, ${ADVICE[kind]}`;
  return new UserError("checkpoint.unsupported", `${path}: ${sentence}.`);
}

/** The error for keys that nothing here knows. */
export function unknownKeys(path: string, names: Iterable<string>): UserError {
  const first = [...names].slice(0, 3).map((name) => `"${name}"`);
  const found = first.length > 0 ? `its keys (${first.join(", ")}, …) belong to no model known here` : "it holds no tensors";
  return new UserError("checkpoint.unsupported", `${path}: ${found}; ${SUPPORTED}.`);
}
