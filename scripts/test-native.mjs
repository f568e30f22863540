/*
 * Builds and runs the C++ tests (native/test) three times: as they are, under the address and undefined-behaviour sanitizers, and
 * under the thread sanitizer. Prints one line a test and the counts.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
// Windows' compiler has no thread sanitizer, and its address sanitizer wants another build.
const VARIANTS = process.platform === "win32" ? ["plain"] : ["plain", "address,undefined", "thread"];

/** What the tests of the kinds of change work on; under the sanitizers, which are slow, one program in so many. */
const programs = join(root, "build", "native-tests", "kind-programs.bin");
const ONE_PROGRAM_IN = { plain: 1, "address,undefined": 11, thread: 53 };
mkdirSync(join(root, "build", "native-tests"), { recursive: true });
execFileSync(process.execPath, [join(root, "test", "fixtures", "lora", "kind-programs.ts"), programs], { stdio: "inherit" });

const counts = { passed: 0, failed: 0 };
for (const variant of VARIANTS) {
  const folder = join(root, "build", "native-tests", variant.replace(",", "-"));
  const sanitizer = variant === "plain" ? "" : variant;
  const configuration = ["-DCMAKE_BUILD_TYPE=Release", "-DREDUX_ADDON=OFF", "-DREDUX_TESTS=ON", `-DREDUX_SANITIZER=${sanitizer}`];
  execFileSync("cmake", ["-S", root, "-B", folder, ...configuration], { stdio: ["ignore", "ignore", "inherit"] });
  execFileSync("cmake", ["--build", folder, "--config", "Release", "--parallel"], { stdio: ["ignore", "ignore", "inherit"] });
  const kinds = [programs, String(ONE_PROGRAM_IN[variant])];
  // All but the first are built where TensorRT's headers are (TENSORRT_HEADERS or TENSORRT_ROOT).
  const tests = [
    { name: "redux_tests" },
    { name: join("tensorrt", "redux_tensorrt_tests") },
    { name: join("tensorrt", "redux_merge_tests") },
    { name: join("tensorrt", "redux_kind_tests"), options: kinds },
    { name: join("tensorrt", "redux_bfloat_kind_tests"), options: kinds },
    { name: join("tensorrt", "redux_sampling_tests") },
    // On emulated GPUs whose matrix units take fp16 alone, and bf16 too.
    ...["75", "80"].map((capability) => ({ name: join("tensorrt", "redux_stack_tests"), options: [capability] })),
  ];
  const built = tests.map(({ name, options = [] }) => {
    const places = [join(folder, "native", name), join(folder, "native", "Release", `${name}.exe`)];
    return { program: places.find((file) => existsSync(file)), options };
  });
  if (!built[0].program) throw new Error(`The tests were not built under ${folder}.`);

  for (const { program, options } of built) {
    if (!program) continue;
    const { stdout, stderr, status, signal } = spawnSync(program, options, { encoding: "utf8" });
    console.log(`C++ (${variant})\n${stdout.trimEnd()}`);
    const results = stdout.split("\n").filter((line) => /^(not )?ok /.test(line));
    const failed = results.filter((line) => line.startsWith("not")).length;
    counts.passed += results.length - failed;
    counts.failed += failed;
    if (status !== 0 && failed === 0) {
      console.log(`not ok the ${variant} run ended with ${signal ?? status}\n${stderr}`);
      counts.failed++;
    }
  }
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
