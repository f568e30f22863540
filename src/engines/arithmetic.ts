import type { WeightArithmetic } from "../lora/merge.ts";
import { StackArithmetic } from "../lora/stack-arithmetic.ts";
import { OnnxRuntimeArithmetic } from "../lora/onnxruntime-arithmetic.ts";
import { CryptoHasher } from "./crypto-hasher.ts";
import { loadNativeAddon } from "./native-addon.ts";
import { NativeArithmetic } from "./native-arithmetic.ts";
import { NativeHasher } from "./native-hasher.ts";
import type { WeightHasher } from "./weight-hashes.ts";

/**
 * The merge's arithmetic on this machine: the native add-on's, or ONNX Runtime's where there is no add-on for the platform.
 * For the worker and the command line only, see `loadNativeAddon`.
 */
export function chooseArithmetic(): WeightArithmetic {
  const { addon } = loadNativeAddon();
  return new StackArithmetic(addon ? new NativeArithmetic(addon) : new OnnxRuntimeArithmetic());
}

/** What hashes weights on this machine: the native add-on, or Node's crypto. For the worker and the command line only. */
export function chooseHasher(): WeightHasher {
  const { addon } = loadNativeAddon();
  return addon ? new NativeHasher(addon) : new CryptoHasher();
}
