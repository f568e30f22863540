/*
 * Makes an installable VSIX for this machine's platform: `npm run package`. The files are laid out in a temporary folder first, so
 * that the package holds one platform's libraries and none of what bundling made superfluous; .vscodeignore is the allow-list.
 */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { createVSIX } from "@vscode/vsce";

/** Visual Studio Code's platforms that there are ONNX Runtime libraries for, with the files that a CPU needs. */
const ONNX_RUNTIME_FILES = {
  "linux-x64": ["libonnxruntime.so.1"],
  "linux-arm64": ["libonnxruntime.so.1"],
  "darwin-arm64": ["libonnxruntime.1.dylib"],
  // DirectML.dll is linked into onnxruntime.dll, used or not.
  "win32-x64": ["onnxruntime.dll", "DirectML.dll"],
};
const MOST_BYTES = 40 * 2 ** 20;

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const target = `${process.platform}-${process.arch}`;
const libraries = ONNX_RUNTIME_FILES[target];
if (!libraries) fail(`There is no package for ${target}; there are ${Object.keys(ONNX_RUNTIME_FILES).join(", ")}.`);

function fail(message) {
  console.error(message);
  process.exit(1);
}

function stageFile(stage, path) {
  const source = join(root, path);
  if (!existsSync(source)) fail(`${path} is missing. Run \`npm run build\` first.`);
  mkdirSync(dirname(join(stage, path)), { recursive: true });
  cpSync(source, join(stage, path), { recursive: true, dereference: true });
}

/** The manifest for use: the one dependency that is not bundled, and nothing of development. */
function stageManifest(stage) {
  const { devDependencies: _, scripts: __, dependencies, ...rest } = manifest;
  const kept = { "onnxruntime-node": dependencies["onnxruntime-node"] };
  writeFileSync(join(stage, "package.json"), JSON.stringify({ ...rest, dependencies: kept }, null, 2));
}

function stageOnnxRuntime(stage) {
  const folder = join("node_modules", "onnxruntime-node");
  const binaries = join(folder, "bin", "napi-v6", process.platform, process.arch);
  for (const file of [...libraries, "onnxruntime_binding.node"]) stageFile(stage, join(binaries, file));
  stageFile(stage, join(folder, "dist"));
  // What its install script needs, and that script itself, stay behind: the libraries are there already.
  const { scripts: _, devDependencies: __, dependencies, ...rest } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
  const kept = { "onnxruntime-common": dependencies["onnxruntime-common"] };
  writeFileSync(join(stage, folder, "package.json"), JSON.stringify({ ...rest, dependencies: kept }, null, 2));
  for (const part of ["package.json", join("dist", "cjs")]) stageFile(stage, join("node_modules", "onnxruntime-common", part));
}

/** The licences of every package that is in the bundles or beside them. */
function stageNotices(stage) {
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const list = execFileSync(npm, ["ls", "--omit=dev", "--all", "--parseable"], {
    cwd: root,
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  const notices = [];
  for (const folder of list.trim().split("\n").slice(1).toSorted()) {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const text = readdirSync(folder).find((file) => /^licen[cs]e(\.|$)/i.test(file));
    notices.push(`${name} ${version} (${license})\n\n${text ? readFileSync(join(folder, text), "utf8").trim() : ""}`);
  }
  writeFileSync(join(stage, "THIRD-PARTY-NOTICES.txt"), `${notices.join(`\n\n${"-".repeat(80)}\n\n`)}\n`);
}

execFileSync(process.execPath, [join(root, "scripts", "bundle.mjs"), "--production"], { stdio: "inherit" });
const stage = mkdtempSync(join(tmpdir(), "vsix-"));
try {
  stageManifest(stage);
  stageOnnxRuntime(stage);
  stageNotices(stage);
  const localized = readdirSync(root).filter((file) => /^package\.nls.*\.json$/.test(file));
  const folders = ["dist", "assets", "language", "media", "l10n", "schemas"].filter((folder) => existsSync(join(root, folder)));
  const addOn = join("build", "Release", "tensorrt_redux.node");
  for (const path of [...localized, ...folders, addOn, "README.md", "CHANGELOG.md", "LICENSE", ".vscodeignore"]) stageFile(stage, path);

  const packagePath = join(root, `${manifest.name}-${target}-${manifest.version}.vsix`);
  rmSync(packagePath, { force: true });
  await createVSIX({ cwd: stage, target, packagePath, allowMissingRepository: true, rewriteRelativeLinks: false });
  const { size } = statSync(packagePath);
  console.log(`${relative(process.cwd(), packagePath) || basename(packagePath)}: ${(size / 2 ** 20).toFixed(1)} MB`);
  if (size > MOST_BYTES) fail(`That is more than the ${MOST_BYTES / 2 ** 20} MB a package may have.`);
} finally {
  rmSync(stage, { recursive: true, force: true });
}
