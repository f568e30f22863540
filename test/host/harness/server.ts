import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { installLanguagePack } from "./language-pack.ts";

/** A running VS Code server. */
export interface Server {
  readonly port: number;
  readonly processId: number;
  /** Settings over those it was started with; open windows take them at once. */
  changeSettings(settings: Readonly<Record<string, unknown>>): void;
  stop(): Promise<void>;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => (address && typeof address === "object" ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}

/** What every run wants quiet; a test adds its own. */
const SETTINGS = {
  "security.workspace.trust.startupPrompt": "never",
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "chat.disableAIFeatures": true,
  "extensions.autoUpdate": false,
  "extensions.ignoreRecommendations": true,
  "git.enabled": false,
  "task.allowAutomaticTasks": "off",
};

function untilListening(child: ChildProcess, output: () => string): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`The VS Code server did not start in 60 s:\n${output()}`)), 60_000);
    child.once("exit", (code) => reject(new Error(`The VS Code server ended with ${code}:\n${output()}`)));
    child.stdout?.on("data", () => {
      if (!output().includes("Extension host agent listening")) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

export interface ServerSetup {
  /** Over the harness's own. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Variables that the extension host is to see as well. */
  readonly environment?: Readonly<Record<string, string>>;
  /** True where a suite runs inside the extension host, with the extension loaded for development. */
  readonly suite?: boolean;
  /** The folder of an extension to have installed; VS Code's development mode hides the notifications that flows want to see. */
  readonly installed?: string;
  /** False: the opened folder is in Restricted Mode. */
  readonly trusted: boolean;
  /** Of the window; English where absent. */
  readonly language?: string;
}

/**
 * Starts the server that `setup-vscode.mjs` installed, on a free port.
 * @param serverFolder the folder that holds out/server-main.js
 * @param dataFolder a folder for its settings, extensions and logs; extensions that are in it already are installed
 */
export async function startServer(serverFolder: string, dataFolder: string, setup: ServerSetup): Promise<Server> {
  mkdirSync(join(dataFolder, "data", "Machine"), { recursive: true });
  let settings = {};
  const changeSettings = (changes: Readonly<Record<string, unknown>>): void => {
    settings = { ...settings, ...changes };
    writeFileSync(join(dataFolder, "data", "Machine", "settings.json"), JSON.stringify(settings, undefined, 2));
  };
  changeSettings({ ...SETTINGS, ...setup.settings });
  mkdirSync(join(dataFolder, "extensions"), { recursive: true });
  if (setup.language !== undefined) installLanguagePack(dataFolder, setup.language);
  if (setup.installed) {
    symlinkSync(setup.installed, join(dataFolder, "extensions", "tensorrt-redux.tensorrt-redux-0.1.0"), "dir");
  }
  const port = await freePort();
  const args = ["--host", "127.0.0.1", "--port", String(port), "--without-connection-token", "--accept-server-license-terms"];
  args.push("--server-data-dir", dataFolder, "--telemetry-level", "off");
  if (setup.suite) args.push("--enable-smoke-test-driver");
  if (setup.trusted) args.push("--disable-workspace-trust");
  if (setup.language !== undefined) args.push("--locale", setup.language);
  const child = spawn(process.execPath, [join("out", "server-main.js"), ...args], {
    cwd: serverFolder,
    env: { ...process.env, ...setup.environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (data: Buffer) => (output += data.toString()));
  child.stderr.on("data", (data: Buffer) => (output += data.toString()));
  await untilListening(child, () => output);
  return {
    port,
    processId: child.pid ?? -1,
    changeSettings,
    stop: () =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve();
        child.once("exit", () => resolve());
        child.kill("SIGTERM");
        setTimeout(() => child.kill("SIGKILL"), 3_000).unref();
      }),
  };
}
