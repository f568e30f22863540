import type { Backend, BackendName } from "../engines/backend.ts";
import { onnxRuntimeBackend } from "../engines/onnxruntime/backend.ts";
import { UserError } from "../formats/errors.ts";
import type { Backend as BackendOption } from "./options.ts";

/** The backend that a person asked for; "auto" is the best one that runs on this machine. */
export function chooseBackend(option: BackendOption): Backend {
  if (option === "auto" || option === "onnxruntime") return onnxRuntimeBackend;
  throw unavailable(option);
}

/** The backend that a bundle was built for; asking for another one is an error, because plans do not travel. */
export function backendOfBundle(folder: string, name: BackendName, option: BackendOption): Backend {
  if (option !== "auto" && option !== name) {
    throw new UserError(
      "backend.unavailable",
      `${folder} was built for ${name}, not ${option}. Export the checkpoint again with --backend ${option}.`,
    );
  }
  if (name === "onnxruntime") return onnxRuntimeBackend;
  throw unavailable(name);
}

function unavailable(name: BackendName): UserError {
  return new UserError("backend.unavailable", `The ${name} backend is not part of this version. Use --backend onnxruntime.`);
}
