import { searchOfEnvironment } from "../engines/tensorrt/library-search.ts";
import { DEFAULT_PYTHON } from "../engines/tensorrt/pip.ts";
import { installRuntime } from "../engines/tensorrt/runtime.ts";
import type { JobContext } from "./context.ts";
import type { InstallRuntimeOptions } from "./options.ts";
import type { InstallRuntimeResult } from "./results.ts";
import { stageProgress } from "./timing.ts";

/** Downloads TensorRT-RTX to where the search for libraries finds it. Throws what `installRuntime` throws. */
export async function installTensorRtRuntime(options: InstallRuntimeOptions, context: JobContext): Promise<InstallRuntimeResult> {
  const { python, installed } = searchOfEnvironment();
  const stages = new Map<string, ReturnType<typeof stageProgress>>();
  const { package: name, ...runtime } = await installRuntime({
    python: options.python ?? python ?? DEFAULT_PYTHON,
    folder: installed,
    signal: context.signal,
    onProgress: (stage, fraction) => {
      if (!stages.has(stage)) stages.set(stage, stageProgress(context, stage));
      stages.get(stage)!(fraction, 1);
    },
  });
  context.log("info", `${name} ${runtime.version} is in ${runtime.folder}`);
  return { package: name, ...runtime };
}
