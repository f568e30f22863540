/*
 * Makes an installable VSIX: `npm run package`, or for another machine `npm run package -- --target linux-arm64`. The files are laid out in
 * a temporary folder first, so that the package holds one platform's libraries and none of what bundling made superfluous;
 * .vscodeignore is the allow-list, and test/fixtures/vsix/contents.json says what has to be in the package.
 */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createVSIX, listFiles } from "@vscode/vsce";
import { differences } from "./package/contents.ts";
import { notices, packagesOf } from "./package/notices.ts";
import { ADD_ON, CROSS_COMPILERS, HOST, TARGETS, TENSORRT_ADD_ONS } from "./package/targets.ts";

const MOST_BYTES = 40 * 2 ** 20;

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const { target } = parseArgs({ options: { target: { type: "string", default: HOST } } }).values;
if (!TARGETS[target]) fail(`There is no package for ${target}; there are ${Object.keys(TARGETS).join(", ")}.`);

function fail(message) {
  console.error(message);
  process.exit(1);
}

/** Where the add-ons for the target are; those for another machine are compiled here where there is a compiler for it. */
function addOnFolder() {
  if (target === HOST) return join(root, "build", "Release");
  const compiler = CROSS_COMPILERS[target];
  if (!compiler) fail(`The add-ons for ${target} cannot be compiled on ${HOST}: the workflow in .github/workflows does that.`);
  const out = join(root, "build", target);
  const cmakeJs = join(root, "node_modules", "cmake-js", "bin", "cmake-js");
  const options = [
    "--config",
    "Release",
    "--out",
    out,
    "--arch",
    compiler.arch,
    `--CDCMAKE_TOOLCHAIN_FILE=${join(root, compiler.toolchain)}`,
  ];
  execFileSync(process.execPath, [cmakeJs, "compile", ...options], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  return join(out, "Release");
}

function stageFile(stage, path, source = join(root, path)) {
  if (!existsSync(source)) fail(`${relative(root, source)} is missing. Run \`npm run build\` first.`);
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
  const [platform, architecture] = target.split("-");
  const binaries = join(folder, "bin", "napi-v6", platform, architecture);
  for (const file of [...TARGETS[target].libraries, "onnxruntime_binding.node"]) stageFile(stage, join(binaries, file));
  stageFile(stage, join(folder, "dist"));
  // What its install script needs, and that script itself, stay behind: the libraries are there already.
  const { scripts: _, devDependencies: __, dependencies, ...rest } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
  const kept = { "onnxruntime-common": dependencies["onnxruntime-common"] };
  writeFileSync(join(stage, folder, "package.json"), JSON.stringify({ ...rest, dependencies: kept }, null, 2));
  for (const part of ["package.json", join("dist", "cjs")]) stageFile(stage, join("node_modules", "onnxruntime-common", part));
}

/** The page in the marketplace, for those who use the extension, with its own pictures and not those of README.md. */
function stagePage(stage) {
  rmSync(join(stage, "media", "readme"), { recursive: true });
  const page = join(root, "MARKETPLACE.md");
  stageFile(stage, "README.md", page);
  for (const [, picture] of readFileSync(page, "utf8").matchAll(/!\[[^\]]*\]\(([^)]+)\)/g)) stageFile(stage, picture);
}

/** The add-ons; those of TensorRT are compiled where its headers are. Tells whether they were. */
function stageAddOns(stage) {
  const folder = addOnFolder();
  const place = (name) => join("build", "Release", name);
  stageFile(stage, place(ADD_ON), join(folder, ADD_ON));
  const hasTensorRt = TARGETS[target].tensorrt && TENSORRT_ADD_ONS.every((name) => existsSync(join(folder, name)));
  if (hasTensorRt) for (const name of TENSORRT_ADD_ONS) stageFile(stage, place(name), join(folder, name));
  else console.log(`${target}: without TensorRT, whose headers are named by TENSORRT_HEADERS or TENSORRT_ROOT.`);
  return hasTensorRt;
}

execFileSync(process.execPath, [join(root, "scripts", "bundle.mjs"), "--production"], { stdio: "inherit" });
const bundled = packagesOf(JSON.parse(readFileSync(join(root, "build", "bundled.json"), "utf8")));
const stage = mkdtempSync(join(tmpdir(), "vsix-"));
try {
  stageManifest(stage);
  stageOnnxRuntime(stage);
  const hasTensorRt = stageAddOns(stage);
  writeFileSync(join(stage, "THIRD-PARTY-NOTICES.txt"), notices(root, bundled));
  const localized = readdirSync(root).filter((file) => /^package\.nls.*\.json$/.test(file));
  const folders = ["dist", "assets", "language", "media", "l10n", "schemas"];
  for (const path of [...localized, ...folders, "CHANGELOG.md", "LICENSE", ".vscodeignore"]) stageFile(stage, path);
  stagePage(stage);

  const wrong = differences(target, hasTensorRt, await listFiles({ cwd: stage }));
  if (wrong.length > 0) fail(`What the package holds is not what test/fixtures/vsix/contents.json says:\n  ${wrong.join("\n  ")}`);
  const packagePath = join(root, `${manifest.name}-${target}-${manifest.version}.vsix`);
  rmSync(packagePath, { force: true });
  await createVSIX({ cwd: stage, target, packagePath, allowMissingRepository: true, rewriteRelativeLinks: false });
  const { size } = statSync(packagePath);
  console.log(`${relative(process.cwd(), packagePath) || basename(packagePath)}: ${(size / 2 ** 20).toFixed(1)} MB`);
  if (size > MOST_BYTES) fail(`That is more than the ${MOST_BYTES / 2 ** 20} MB a package may have.`);
} finally {
  rmSync(stage, { recursive: true, force: true });
}
