import { UserError } from "../formats/errors.ts";
import { backendOfBundle } from "./backends.ts";
import { openBundle } from "./engine-cache.ts";

/**
 * Why an engine bundle cannot run on this machine: another version of its library or kind of GPU, a library that is missing, files
 * that are gone. Undefined where nothing speaks against it. Loads its backend's library, but no engine.
 */
export async function engineProblem(path: string): Promise<string | undefined> {
  try {
    const { folder, bundle } = await openBundle(path);
    backendOfBundle(folder, bundle.backend.name, "auto").requireRunnable?.(folder, bundle);
    return undefined;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.message;
  }
}
