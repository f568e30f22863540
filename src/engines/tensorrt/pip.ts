import { spawn } from "node:child_process";
import { cancelled, throwIfCancelled, UserError } from "../../formats/errors.ts";

/** The Python that is asked where nobody chose one. */
export const DEFAULT_PYTHON = process.platform === "win32" ? "python" : "python3";

interface PythonRun {
  readonly signal?: AbortSignal | undefined;
  /** Where the program keeps what is not finished; the system's own place where absent. */
  readonly temporary?: string | undefined;
}

/**
 * Runs a Python program and gives its standard output.
 * Throws "backend.unavailable" where there is no such Python or it fails, with the last line that it wrote, and "cancelled".
 */
export async function runPython(python: string, args: readonly string[], { signal, temporary }: PythonRun = {}): Promise<string> {
  throwIfCancelled(signal);
  const environment = { ...process.env, ...(temporary !== undefined && { TMPDIR: temporary, TEMP: temporary, TMP: temporary }) };
  const child = spawn(python, args, { env: environment, stdio: ["ignore", "pipe", "pipe"], windowsHide: true, ...(signal && { signal }) });
  let [output, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  const { code, error } = await new Promise<{ code: number | null; error?: Error }>((resolve) => {
    let failure: Error | undefined;
    child.once("error", (reason) => (failure = reason));
    child.once("close", (status) => resolve({ code: status, ...(failure && { error: failure }) }));
  });
  if (signal?.aborted) throw cancelled();
  if (error) throw new UserError("backend.unavailable", `${python} cannot be run (${error.message}).`, { cause: error });
  if (code !== 0) throw new UserError("backend.unavailable", `${python}: ${lastLine(errors) ?? `it ended with code ${code}`}`);
  return output;
}

/** Throws "backend.unavailable" with what to do where there is no Python, or none with pip. */
export async function requirePip(python: string, signal?: AbortSignal): Promise<void> {
  try {
    await runPython(python, ["-m", "pip", "--version"], { signal });
  } catch (error) {
    if (!(error instanceof UserError) || error.code !== "backend.unavailable") throw error;
    throw new UserError(
      "backend.unavailable",
      `There is no Python with pip here: ${error.message} Install Python 3 with pip (on Debian and Ubuntu: apt install python3-pip), or choose another with --python or the setting tensorrt.pythonPath.`,
      { cause: error },
    );
  }
}

/**
 * Downloads one wheel into a folder, which is all that pip does: nothing is installed and no code of the package runs.
 * @param requirement name and exact version, "name==1.2.3"
 */
export async function downloadWheel(python: string, requirement: string, folder: string, signal?: AbortSignal): Promise<void> {
  const options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary", ":all:", "--dest", folder];
  try {
    await runPython(python, ["-m", "pip", "download", ...options, requirement], { signal, temporary: folder });
  } catch (error) {
    if (!(error instanceof UserError) || error.code !== "backend.unavailable") throw error;
    throw new UserError("backend.unavailable", `pip cannot download ${requirement}: ${error.message}`, { cause: error });
  }
}

/** A wheel is a zip file. */
export async function unpackWheel(python: string, wheel: string, folder: string, signal?: AbortSignal): Promise<void> {
  await runPython(python, ["-m", "zipfile", "-e", wheel, folder], { signal });
}

/** What went wrong: pip's warnings may come after its error. */
function lastLine(text: string): string | undefined {
  const lines = text.split("\n").map((line) => line.trim());
  return lines.findLast((line) => line.startsWith("ERROR")) ?? lines.findLast((line) => line !== "");
}
