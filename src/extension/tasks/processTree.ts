import { type ChildProcess, spawn } from "node:child_process";

/** How long a process gets to clean up after Ctrl-C before it is ended by force. */
const PATIENCE_MILLISECONDS = 5_000;

/**
 * Ends a process and all it started: as Ctrl-C does, then by force. The process has to lead a process group of its own
 * (`detached`), except on Windows, which has no groups and no Ctrl-C for other processes.
 */
export function endProcessTree(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  if (process.platform === "win32") {
    spawn("taskkill", ["/pid", String(pid), "/T", "/F"], { stdio: "ignore" });
    return;
  }
  signalGroup(pid, "SIGINT");
  const timer = setTimeout(() => signalGroup(pid, "SIGKILL"), PATIENCE_MILLISECONDS);
  child.once("exit", () => clearTimeout(timer));
}

function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch (error) {
    // It ended by itself in the meantime; macOS says EPERM of a group in which nothing but ended processes is left, and so does one that
    // runs as another person by now, which is not ours to end.
    if (!["ESRCH", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}
