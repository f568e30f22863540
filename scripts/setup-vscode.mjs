/*
 * Puts a real VS Code under .test/ for the host tests: code-server, whose npm package carries the same workbench and extension
 * host as the desktop's, so that the npm registry is all it takes. Does nothing where it is there already.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const CODE_SERVER_VERSION = "4.139.1";
/** The server's add-ons that the tests need; the others want system libraries and are left unbuilt. */
const ADD_ONS = ["node-pty", "@vscode/spdlog", "@vscode/native-watchdog", "@parcel/watcher"];
const CHROMIUM_PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/opt/google/chrome/chrome"];

const root = fileURLToPath(new URL("..", import.meta.url));

function npm(folder, ...args) {
  execFileSync("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], { cwd: folder, stdio: ["ignore", "inherit", "inherit"] });
}

/** Installs code-server where it is missing or of another version; returns the folder of its VS Code server. */
export function setupServer() {
  const folder = join(root, ".test", "code-server");
  const server = join(folder, "node_modules", "code-server", "lib", "vscode");
  const stamp = join(folder, "ready.txt");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === CODE_SERVER_VERSION && existsSync(join(server, "out", "server-main.js")))
    return server;

  console.log(`Installing code-server ${CODE_SERVER_VERSION} under .test/ (about a minute, once)…`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }));
  // Install scripts stay off: those of add-ons that are not needed fail without system libraries.
  npm(folder, "install", `code-server@${CODE_SERVER_VERSION}`, "--ignore-scripts");
  npm(server, "install", "--omit=dev", "--ignore-scripts");
  for (const addOn of ADD_ONS) {
    try {
      npm(server, "rebuild", addOn);
    } catch (error) {
      // node-pty's own post-install step may fail after its library was built, which is all that is needed.
      if (addOn !== "node-pty") throw error;
    }
  }
  writeFileSync(stamp, CODE_SERVER_VERSION);
  return server;
}

function findChromium() {
  const places = [process.env.CHROMIUM_PATH, ...CHROMIUM_PLACES, chromium.executablePath()];
  return places.find((place) => place && existsSync(place));
}

/** The Chromium to test with; installed from the distribution where it is missing and this is root on a Debian. */
export function setupChromium() {
  const found = findChromium();
  if (found) return found;
  if (process.getuid?.() === 0 && existsSync("/usr/bin/apt-get")) {
    console.log("Installing chromium with apt-get…");
    const apt = { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };
    execFileSync("apt-get", ["update", "-q"], apt);
    execFileSync("apt-get", ["install", "-y", "-q", "--no-install-recommends", "chromium"], apt);
    const installed = findChromium();
    if (installed) return installed;
  }
  throw new Error(
    "The host tests need Chromium, and none was found. Install it (Debian: apt-get install chromium; " +
      "elsewhere: npx playwright-core install chromium), or set CHROMIUM_PATH to its executable.",
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(`VS Code server: ${setupServer()}`);
    console.log(`Chromium: ${setupChromium()}`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
