/** What went wrong, for programs: the first word is the room that noticed. */
export type ErrorCode =
  | "file.missing"
  | "file.unreadable"
  | "file.empty"
  | "file.truncated"
  | "file.invalid"
  | "file.pickle"
  | "file.exists"
  | "file.unwritable"
  | "disk.full"
  | "checkpoint.unsupported"
  | "checkpoint.incomplete"
  | "bundle.invalid"
  | "bundle.mismatch"
  | "delta.invalid"
  | "delta.wrongBase"
  | "lora.unsupported"
  | "lora.wrongArchitecture"
  | "lora.noChange"
  | "engine.unusable"
  | "engine.failed"
  | "backend.unavailable"
  | "gpu.unavailable"
  | "gpu.memory"
  | "gpu.failed"
  | "option.invalid"
  | "png.noParameters"
  | "batch.running"
  | "worker.died"
  | "cancelled"
  | "internal";

/**
 * An error a person can act on: one line that says what is wrong, with which file or value, and what to do.
 * Everything thrown on purpose is one of these; anything else is a defect and is reported as "internal".
 */
export class UserError extends Error {
  override readonly name = "UserError";
  readonly code: ErrorCode;
  /** The file or folder that something can be done about, for programs that offer to. */
  readonly path: string | undefined;

  constructor(code: ErrorCode, message: string, { path, ...options }: ErrorOptions & { readonly path?: string } = {}) {
    super(message, options);
    this.code = code;
    this.path = path;
  }
}

export function cancelled(): UserError {
  return new UserError("cancelled", "Cancelled.");
}

/** Throws the "cancelled" error once the signal is aborted; call it between units of work. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled();
}
