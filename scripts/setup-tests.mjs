/*
 * What the tests need beyond npm's packages: on Debian and Ubuntu, as root, system packages are installed; elsewhere a sentence
 * says what is missing. Python is for tests that compare with independent readers; without it they are skipped.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const PYTHON_PACKAGES = ["numpy>=1.26,<3", "onnx>=1.17,<2", "safetensors>=0.5,<1"];

/** A tool, how to see that it is there, and the Debian packages that bring it. */
const TOOLS = [
  { name: "CMake", probes: [["cmake", "--version"]], packages: ["cmake"] },
  {
    name: "a C++ compiler",
    probes: [
      ["c++", "--version"],
      ["g++", "--version"],
      ["clang++", "--version"],
    ],
    packages: ["g++", "make"],
  },
  {
    name: "Chromium",
    probes: [
      ["chromium", "--version"],
      ["chromium-browser", "--version"],
      ["google-chrome", "--version"],
    ],
    packages: ["chromium"],
  },
  { name: "Python with venv", probes: [["python3", "-c", "import venv, ensurepip"]], packages: ["python3-venv"] },
];

function works([command, ...args]) {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

function aptGet(...args) {
  const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  return (
    spawnSync("apt-get", ["-qq", "-o", "Dpkg::Use-Pty=0", ...args], { env: environment, stdio: ["ignore", "ignore", "inherit"] }).status ===
    0
  );
}

/** Sees to the system's tools; what stays missing makes the tests that need it fail with their own messages. */
export function setupSystem() {
  if (process.platform !== "linux") return;
  const missing = TOOLS.filter(({ probes }) => !probes.some(works));
  if (missing.length === 0) return;
  const packages = missing.flatMap((tool) => tool.packages).join(" ");
  const names = missing.map(({ name }) => name).join(", ");
  if (process.getuid?.() !== 0 || !works(["apt-get", "--version"])) {
    console.error(`Missing: ${names}. On Debian and Ubuntu: sudo apt-get install ${packages}`);
    return;
  }
  console.log(`Installing ${names} (${packages})…`);
  aptGet("update");
  if (!aptGet("install", "-y", "--no-install-recommends", ...packages.split(" "))) console.error(`Could not install ${packages}.`);
}

/** A Python with the packages that some tests use, made under .test/ where TEST_PYTHON names none; undefined where there is none. */
export function setupPython() {
  if (process.env["TEST_PYTHON"]) return process.env["TEST_PYTHON"];
  const folder = join(root, ".test", "venv");
  const windows = process.platform === "win32";
  const python = join(folder, ...(windows ? ["Scripts", "python.exe"] : ["bin", "python"]));
  const stamp = join(folder, "packages.txt");
  const wanted = PYTHON_PACKAGES.join("\n");
  if (existsSync(python) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return python;

  console.log("Making a Python environment under .test/ (once)…");
  rmSync(folder, { recursive: true, force: true });
  const made = spawnSync(windows ? "python" : "python3", ["-m", "venv", folder], { stdio: ["ignore", "ignore", "inherit"] });
  const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...PYTHON_PACKAGES];
  if (made.status !== 0 || spawnSync(python, install, { stdio: ["ignore", "inherit", "inherit"] }).status !== 0) {
    console.error("No Python environment could be made: the tests that compare with Python's readers are skipped.");
    return undefined;
  }
  writeFileSync(stamp, wanted);
  return python;
}
