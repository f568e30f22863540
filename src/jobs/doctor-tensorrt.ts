import { isUsableHere } from "../engines/tensorrt/backend.ts";
import { findTensorRt, HOW_TO_GET, type TensorRtName } from "../engines/tensorrt/library-search.ts";
import type { DoctorFinding } from "./results.ts";

const LABELS: Readonly<Record<TensorRtName, string>> = { tensorrt: "TensorRT", "tensorrt-rtx": "TensorRT-RTX" };

/** Without a GPU that it runs on, the library is there for nothing, or nothing but builds. */
const NOT_USABLE: Readonly<Record<TensorRtName, string>> = {
  tensorrt: "It builds and runs engines only with an NVIDIA GPU.",
  "tensorrt-rtx":
    "Without a GPU of compute capability 7.5, 8.x or 12.x it builds engines for other machines, without refit, and runs none.",
};

/** A backend's library, loaded and asked for its version; every place that was looked in before it. */
export function findTensorRtLibrary(backend: TensorRtName): DoctorFinding {
  const name = LABELS[backend];
  const { library, tried } = findTensorRt(backend);
  if (!library) return { name, state: "missing", tried, advice: HOW_TO_GET[backend] };
  const { version, file } = library.information;
  const found = { name, version, where: file, tried };
  return isUsableHere(backend) ? { ...found, state: "found" } : { ...found, state: "unusable", advice: NOT_USABLE[backend] };
}
