/* The platforms that there are packages for, with what each has of its own. */

interface Platform {
  readonly libraries: readonly string[];
  readonly tensorrt: boolean;
}

/** `libraries`: ONNX Runtime's, as much as a CPU needs. `tensorrt`: whether TensorRT exists there. */
export const TARGETS = {
  "linux-x64": { libraries: ["libonnxruntime.so.1"], tensorrt: true },
  "linux-arm64": { libraries: ["libonnxruntime.so.1"], tensorrt: true },
  "darwin-arm64": { libraries: ["libonnxruntime.1.dylib"], tensorrt: false },
  // DirectML.dll is linked into onnxruntime.dll, used or not.
  "win32-x64": { libraries: ["onnxruntime.dll", "DirectML.dll"], tensorrt: true },
} as const satisfies Readonly<Record<string, Platform>>;

export type Target = keyof typeof TARGETS;

export const HOST: string = `${process.platform}-${process.arch}`;

/** The add-ons: the arithmetic's, and the TensorRT backend's once for each of the libraries it can load. */
export const ADD_ON = "tensorrt_redux.node";
export const TENSORRT_ADD_ONS = ["trt10", "trt11", "rtx"].map((library) => `tensorrt_redux_${library}.node`);

/** Compilers for other machines, by target, as CMake is told of them. */
export const CROSS_COMPILERS: Partial<Readonly<Record<Target, { readonly toolchain: string; readonly arch: string }>>> = {
  "linux-arm64": { toolchain: "native/toolchains/linux-arm64.cmake", arch: "arm64" },
};
