import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";

/** A process as the system tells it. */
export interface ProcessEntry {
  readonly id: number;
  readonly parent: number;
  readonly command: string;
}

/** All processes; those that end while they are looked at are left out. */
export function listProcesses(): ProcessEntry[] {
  return process.platform === "linux" ? listProc() : listByCommand();
}

/** By PowerShell on Windows, by `ps` on macOS: a line each, "id parent command". */
function listByCommand(): ProcessEntry[] {
  const script = 'Get-CimInstance Win32_Process | ForEach-Object { "$($_.ProcessId) $($_.ParentProcessId) $($_.CommandLine)" }';
  const text =
    process.platform === "win32"
      ? execFileSync("powershell", ["-NoProfile", "-Command", script], { encoding: "utf8" })
      : execFileSync("ps", ["-A", "-ww", "-o", "pid=,ppid=,command="], { encoding: "utf8" });
  return Array.from(text.matchAll(/^\s*(\d+)\s+(\d+)\s(.*)$/gm), ([, id, parent, command]) => ({
    id: Number(id),
    parent: Number(parent),
    command: command!.trim(),
  }));
}

function listProc(): ProcessEntry[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const state = readFileSync(`/proc/${name}/stat`, "utf8");
        // The name in brackets may hold anything; the parent's id is the second field after it.
        const parent = Number(state.slice(state.lastIndexOf(")") + 2).split(" ")[1]);
        return [{ id: Number(name), parent, command: readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ") }];
      } catch {
        return [];
      }
    });
}

/** The worker processes that `ancestor` or a process it started has started: other runs on this machine have theirs. */
export function findWorkers(ancestor: number): ProcessEntry[] {
  const entries = listProcesses();
  const parents = new Map(entries.map(({ id, parent }) => [id, parent]));
  const descends = (id: number): boolean => {
    for (let at = parents.get(id); at !== undefined; at = parents.get(at)) if (at === ancestor) return true;
    return false;
  };
  return entries.filter(({ id, command }) => command.includes("worker.js") && descends(id));
}

/** Names of the native libraries that a process has loaded from node_modules or build/. */
export function nativeLibraries(id: number): string[] {
  const paths = readFileSync(`/proc/${id}/maps`, "utf8").match(/\/\S+\.(node|so[.\d]*)$/gm) ?? [];
  return [...new Set(paths)].filter((path) => /node_modules|build\/Release/.test(path));
}

/** Waits until a condition holds; an undefined or false value means not yet. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  milliseconds = 30_000,
): Promise<Exclude<T, false | undefined>> {
  const end = Date.now() + milliseconds;
  for (;;) {
    const value = await condition();
    if (value) return value as Exclude<T, false | undefined>;
    if (Date.now() > end) throw new Error(`Not within ${milliseconds / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
