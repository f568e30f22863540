import { createRequire } from "node:module";
import type * as OnnxRuntime from "onnxruntime-node";
import { UserError } from "../../formats/errors.ts";

export interface OnnxRuntimeLibrary {
  readonly runtime: typeof OnnxRuntime;
  readonly version: string;
}

let library: OnnxRuntimeLibrary | undefined;

/** Loads ONNX Runtime at first use: it is native code of 45 MB, which nothing but running an engine needs. */
export function loadOnnxRuntime(): OnnxRuntimeLibrary {
  if (library) return library;
  const load = createRequire(import.meta.url);
  try {
    const runtime = load("onnxruntime-node") as typeof OnnxRuntime;
    library = { runtime, version: runtime.env.versions.node ?? runtime.env.versions.common };
    return library;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n", 1)[0] : String(cause);
    throw new UserError("backend.unavailable", `ONNX Runtime could not be loaded: ${reason}. Reinstall the extension for this platform.`, {
      cause,
    });
  }
}
