/*
 * The runner inside the extension host. Its lines start with a mark, because the workbench's own log comes the same way.
 */
interface Test {
  readonly name: string;
  readonly body: () => Promise<void> | void;
  readonly timeoutMilliseconds: number;
}

export const MARK = "[suite] ";
const tests: Test[] = [];

/** Registers a test; `suites` is the start of its name, "restricted: …" runs in an untrusted workspace alone. */
export function test(name: string, body: Test["body"], timeoutMilliseconds = 120_000): void {
  tests.push({ name, body, timeoutMilliseconds });
}

function withTimeout(body: Test["body"], milliseconds: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no end after ${milliseconds / 1000} s`)), milliseconds);
    Promise.resolve()
      .then(body)
      .then(resolve, reject)
      .finally(() => clearTimeout(timer));
  });
}

/** VS Code calls this; a rejection fails the run. */
export async function run(): Promise<void> {
  const restricted = process.env["TENSORRT_TEST_SUITE"] === "restricted";
  const only = process.env["TENSORRT_TEST_ONLY"] ?? "";
  const chosen = tests.filter(({ name }) => name.startsWith("restricted:") === restricted && name.includes(only));
  let failed = 0;
  for (const { name, body, timeoutMilliseconds } of chosen) {
    const start = Date.now();
    try {
      await withTimeout(body, timeoutMilliseconds);
      console.log(`${MARK}✓ ${name} (${Date.now() - start} ms)`);
    } catch (error) {
      failed++;
      console.log(`${MARK}✗ ${name}\n${error instanceof Error ? error.stack : String(error)}`);
    }
  }
  console.log(`${MARK}${chosen.length - failed} passed, ${failed} failed`);
  if (failed > 0 || (chosen.length === 0 && only === "")) throw new Error(`${failed} of ${chosen.length} tests failed`);
}
