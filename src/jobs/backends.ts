import type { Backend, BackendName } from "../engines/backend.ts";
import { onnxRuntimeBackend } from "../engines/onnxruntime/backend.ts";
import { isUsableHere, tensorRtBackend, tensorRtRtxBackend } from "../engines/tensorrt/backend.ts";
import { UserError } from "../formats/errors.ts";
import type { Backend as BackendOption } from "./options.ts";

const BACKENDS: Readonly<Record<BackendName, Backend>> = {
  onnxruntime: onnxRuntimeBackend,
  tensorrt: tensorRtBackend,
  "tensorrt-rtx": tensorRtRtxBackend,
};

/** The backend that a person asked for; "auto" is the fastest one that builds and runs on this machine. */
export function chooseBackend(option: BackendOption): Backend {
  if (option !== "auto") return BACKENDS[option];
  const best = (["tensorrt", "tensorrt-rtx"] as const).find(isUsableHere);
  return BACKENDS[best ?? "onnxruntime"];
}

/** The backend that a bundle was built for; asking for another one is an error, because plans do not travel. */
export function backendOfBundle(folder: string, name: BackendName, option: BackendOption): Backend {
  if (option !== "auto" && option !== name) {
    throw new UserError(
      "bundle.mismatch",
      `${folder} was built for ${name}, not ${option}. Export the checkpoint again with --backend ${option}.`,
      { path: folder },
    );
  }
  return BACKENDS[name];
}
