import { execFileSync } from "node:child_process";
import { mkdir, open, readdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { assertSpace, buildFolderAtomically, formatBytes, writeError, writeFileAtomically } from "../../src/formats/atomic-file.ts";
import { UserError } from "../../src/formats/errors.ts";
import { fromFloat32 } from "../../src/formats/numbers.ts";
import { writeSafetensors, type TensorSource } from "../../src/formats/safetensors-writer.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { failure, fixture, temporaryFolder } from "./formats-support.ts";

interface NpmReader {
  readonly metadata: ReadonlyMap<string, unknown>;
  getTensor(name: string): Uint8Array;
}

const folder = await temporaryFolder();

/** A folder of one test's own, so that it can say what is left in it. */
async function ownFolder(name: string): Promise<string> {
  const own = join(folder, name);
  await mkdir(own);
  return own;
}

const source = (name: string, dtype: string, shape: readonly number[], bytes: Uint8Array): TensorSource => ({
  name,
  dtype,
  shape,
  length: bytes.length,
  // Two pieces, the second of them asynchronous.
  async *chunks() {
    yield bytes.subarray(0, 1);
    yield await Promise.resolve(bytes.subarray(1));
  },
});

const tensors: readonly TensorSource[] = [
  source("byte", "U8", [3], new Uint8Array([1, 2, 3])),
  source("10", "F16", [2, 1], fromFloat32(new Float32Array([1, -2]), "F16")),
  source("__proto__", "F32", [1], fromFloat32(new Float32Array([0.1]), "F32")),
  source('猫 " \\ \u0000', "BF16", [], fromFloat32(new Float32Array([3]), "BF16")),
  source("nothing", "F32", [0, 5], new Uint8Array(0)),
];

describe("a written safetensors file", () => {
  test("is read back as it was", async () => {
    const path = join(folder, "written.safetensors");
    await writeSafetensors(path, tensors, { title: "line\nline", "\u{1f3a8}": "" });
    const file = await SafetensorsFile.open(path);
    expect([...file.metadata]).toEqual([
      ["title", "line\nline"],
      ["\u{1f3a8}", ""],
    ]);
    expect(file.headerLength % 8).toBe(0);
    for (const tensor of tensors) {
      const { name, dtype, shape } = tensor;
      const pieces: Uint8Array[] = [];
      for await (const piece of tensor.chunks()) pieces.push(piece);
      expect(file.entry(name)).toMatchObject({ dtype, shape });
      expect(Buffer.from(await file.readBytes(name))).toEqual(Buffer.concat(pieces));
      expect(file.entry(name).offset % (dtype === "F32" ? 4 : dtype === "U8" ? 1 : 2)).toBe(0);
    }
    await file.close();
  });

  test("is read by the npm package safetensors as it was", async () => {
    const path = join(folder, "npm.safetensors");
    // That reader stumbles over metadata, and loses a tensor called "__proto__".
    const plain = tensors.filter(({ name }) => name !== "__proto__");
    await writeSafetensors(path, plain, {});
    const { SafeTensor } = createRequire(import.meta.url)("safetensors") as { SafeTensor: new (bytes: Uint8Array) => NpmReader };
    const reader = new SafeTensor(new Uint8Array(await readFile(path)));
    const file = await SafetensorsFile.open(path);
    for (const { name, dtype, shape } of plain) {
      expect(reader.metadata.get(name)).toMatchObject({ dtype, shape });
      expect(reader.getTensor(name)).toEqual(await file.readBytes(name));
    }
    await file.close();
  });

  test("of two tensors of one name is refused before anything is written", async () => {
    const own = await ownFolder("twice");
    const path = join(own, "twice.safetensors");
    await expect(writeSafetensors(path, [tensors[0]!, tensors[0]!], {})).rejects.toThrow('cannot hold a tensor "byte"');
    await expect(writeSafetensors(path, [{ ...tensors[0]!, name: "__metadata__" }], {})).rejects.toThrow("__metadata__");
    expect(await readdir(own)).toEqual([]);
  });

  test.each([
    ["more", 2],
    ["fewer", 4],
  ])("of a tensor that gives %s bytes than it should leaves nothing behind", async (word, size) => {
    const own = await ownFolder(`wrong-${word}`);
    const wrong = { name: "a", dtype: "U8", shape: [size], chunks: () => [new Uint8Array(3)] };
    await expect(writeSafetensors(join(own, "a.safetensors"), [wrong], {})).rejects.toThrow(word);
    expect(await readdir(own)).toEqual([]);
  });

  test("reports its progress", async () => {
    const seen: number[][] = [];
    await writeSafetensors(join(folder, "progress.safetensors"), tensors.slice(0, 2), {}, { onProgress: (...args) => seen.push(args) });
    expect(seen).toEqual([
      [1, 7],
      [4, 7],
      [5, 7],
      [7, 7],
    ]);
  });

  test("cancelled half-way leaves nothing behind", async () => {
    const own = await ownFolder("cancelled");
    const controller = new AbortController();
    const path = join(own, "a.safetensors");
    const writing = writeSafetensors(path, tensors, {}, { signal: controller.signal, onProgress: () => controller.abort() });
    expect(await failure(writing, path)).toBe("cancelled: Cancelled.");
    expect(await readdir(own)).toEqual([]);
  });
});

describe.skipIf(!process.env["TEST_PYTHON"])("Python's safetensors", () => {
  const python = (script: string, ...args: string[]) =>
    JSON.parse(execFileSync(process.env["TEST_PYTHON"]!, ["-c", script, ...args], { encoding: "utf8" })) as unknown;

  test("reads what we write", async () => {
    const path = join(folder, "python.safetensors");
    // A NUL in a name is more than its header parser is asked for here.
    const plain = tensors.filter(({ name }) => !name.includes("\0"));
    await writeSafetensors(path, plain, { title: "🎨" });
    const script = `
import json, sys, safetensors
data = open(sys.argv[1], "rb").read()
with safetensors.safe_open(sys.argv[1], "np") as file: metadata = file.metadata()
print(json.dumps([metadata, {n: [t["dtype"], t["shape"], list(t["data"])] for n, t in safetensors.deserialize(data)}]))`;
    const [metadata, read] = python(script, path) as [object, Record<string, unknown>];
    expect(metadata).toEqual({ title: "🎨" });
    const file = await SafetensorsFile.open(path);
    for (const { name, dtype, shape } of plain)
      expect(Object.entries(read)).toContainEqual([name, [dtype, shape, [...(await file.readBytes(name))]]]);
    await file.close();
  });

  test("writes what we read", async () => {
    const path = join(folder, "from-python.safetensors");
    const script = `
import json, sys, numpy, safetensors.numpy
a = numpy.random.default_rng(0).standard_normal((7, 5)).astype(numpy.float16)
safetensors.numpy.save_file({"a": a, "b": numpy.arange(3)}, sys.argv[1], {"k": "v"})
print(json.dumps(a.astype(float).flatten().tolist()))`;
    const values = python(script, path);
    const file = await SafetensorsFile.open(path);
    expect([...(await file.readFloat32("a"))]).toEqual(values);
    expect([...(await file.readFloat32("b"))]).toEqual([0, 1, 2]);
    expect(file.metadata).toEqual(new Map([["k", "v"]]));
    await file.close();
  });
});

describe("a file written atomically", () => {
  test("replaces the old one only when it is complete", async () => {
    const own = await ownFolder("replace");
    const path = join(own, "a.txt");
    await writeFile(path, "old");
    await writeFileAtomically(path, async (writer) => {
      await writer.write(Buffer.from("new "));
      expect(await readFile(path, "utf8")).toBe("old");
      await writer.write(Buffer.from("text"));
    });
    expect(await readFile(path, "utf8")).toBe("new text");
    expect(await readdir(own)).toEqual(["a.txt"]);
  });

  test.skipIf(process.platform !== "linux")(
    "on a disk that becomes full says so, leaves nothing behind and keeps the old one",
    async () => {
      const own = await ownFolder("full");
      const path = join(own, "a.txt");
      await writeFile(path, "old");
      // A device that answers as a full disk does.
      const writing = writeFileAtomically(path, async () => {
        const full = await open("/dev/full", "w");
        try {
          await full.write("x");
        } finally {
          await full.close();
        }
      });
      expect(await failure(writing, path)).toBe(
        "disk.full: The disk is full: FILE could not be written. Free some space or choose another folder.",
      );
      expect(await readdir(own)).toEqual(["a.txt"]);
      expect(await readFile(path, "utf8")).toBe("old");
    },
  );

  test.each([
    ["in a folder that does not exist", "missing/a.txt", "the folder does not exist. Create it first"],
    ["below a file", "file/a.txt", "a part of that path is a file, not a folder. Choose another path"],
    ["where a folder is", "taken", "there is a folder of that name. Choose another name"],
    ["of too long a name", "long".repeat(100), "the name is too long. Choose a shorter one"],
  ])("%s is refused", async (_where, name, reason) => {
    await writeFile(join(folder, "file"), "");
    await mkdir(join(folder, "taken"), { recursive: true });
    const path = join(folder, name);
    const writing = writeFileAtomically(path, (writer) => writer.write(new Uint8Array(1)));
    expect(await failure(writing, path)).toBe(`file.unwritable: FILE cannot be written: ${reason}.`);
    expect((await readdir(folder)).filter((entry) => entry.endsWith(".tmp"))).toEqual([]);
  });

  test.each([
    ["ENOSPC", "disk.full: The disk is full: FILE could not be written. Free some space or choose another folder."],
    ["EDQUOT", "disk.full: The disk is full: FILE could not be written. Free some space or choose another folder."],
    ["EROFS", "file.unwritable: FILE cannot be written: the file system is read-only. Choose another folder."],
    ["EACCES", "file.unwritable: FILE cannot be written: permission denied. Choose another folder or change its permissions."],
    ["EPERM", "file.unwritable: FILE cannot be written: permission denied. Choose another folder or change its permissions."],
    ["EIO", "file.unwritable: FILE cannot be written: the system says EIO. Try another folder."],
  ])("names the file where the system says %s", (code, message) => {
    const error = writeError("FILE", Object.assign(new Error(code), { code, syscall: "write" })) as UserError;
    expect(`${error.code}: ${error.message}`).toBe(message);
  });

  test("lets an error about another file through", async () => {
    const own = await ownFolder("other");
    const reading = writeFileAtomically(join(own, "a"), async () => void (await readFile(join(own, "source"))));
    await expect(reading).rejects.toMatchObject({ code: "ENOENT", path: join(own, "source") });
    expect(await readdir(own)).toEqual([]);
  });

  test("lets an error that is not the system's through", async () => {
    const own = await ownFolder("defect");
    await expect(writeFileAtomically(join(own, "a"), () => Promise.reject(new TypeError("defect")))).rejects.toThrow(TypeError);
    expect(await readdir(own)).toEqual([]);
  });
});

describe("a folder built atomically", () => {
  const fill = (text: string) => async (built: string) => {
    await writeFile(join(built, "a.txt"), text);
    return text.length;
  };

  test("appears complete, with the folders above it", async () => {
    const path = join(folder, "new", "deeper", "bundle");
    expect(await buildFolderAtomically(path, fill("abc"))).toBe(3);
    expect(await readFile(join(path, "a.txt"), "utf8")).toBe("abc");
    expect(await readdir(join(folder, "new", "deeper"))).toEqual(["bundle"]);
  });

  test("is refused where one is already, unless it may be overwritten", async () => {
    const own = await ownFolder("exists");
    const path = join(own, "bundle");
    await buildFolderAtomically(path, fill("old"));
    const again = buildFolderAtomically(path, fill("new"));
    expect(await failure(again, path)).toBe("file.exists: FILE exists already. Choose another name, or allow it to be overwritten.");
    expect(await readFile(join(path, "a.txt"), "utf8")).toBe("old");
    await buildFolderAtomically(path, fill("new"), { overwrite: true });
    expect(await readFile(join(path, "a.txt"), "utf8")).toBe("new");
    expect(await readdir(own)).toEqual(["bundle"]);
  });

  test("is refused below a file", async () => {
    const own = await ownFolder("below");
    await writeFile(join(own, "file"), "");
    const path = join(own, "file", "deeper", "bundle");
    expect(await failure(buildFolderAtomically(path, fill("abc")), path)).toBe(
      "file.unwritable: FILE cannot be written: a part of that path is a file, not a folder. Choose another path.",
    );
  });

  test("that fails or is cancelled leaves what was there", async () => {
    const own = await ownFolder("fails");
    const path = join(own, "bundle");
    await buildFolderAtomically(path, fill("old"));
    const controller = new AbortController();
    const cancelled = buildFolderAtomically(
      path,
      async (built) => {
        await fill("new")(built);
        controller.abort();
      },
      { overwrite: true, signal: controller.signal },
    );
    expect(await failure(cancelled, path)).toBe("cancelled: Cancelled.");
    await expect(buildFolderAtomically(path, () => Promise.reject(new Error("defect")), { overwrite: true })).rejects.toThrow("defect");
    expect(await readdir(own)).toEqual(["bundle"]);
    expect(await readFile(join(path, "a.txt"), "utf8")).toBe("old");
  });
});

test("a disk that is too small is refused before the work", async () => {
  const missing = join(folder, "not", "yet");
  await assertSpace(missing, 1, "the engine bundle");
  const message = await failure(assertSpace(missing, 5e14, "the engine bundle"), missing);
  expect(message).toMatch(
    /^disk\.full: Not enough space for the engine bundle in FILE: it needs 500 TB, and [\d.]+ \wB are free\. Free some space or choose another folder\.$/,
  );
});

test.each([
  [0, "0 bytes"],
  [999, "999 bytes"],
  [1000, "1.00 kB"],
  [6_938_078_334, "6.94 GB"],
  [999_600, "1.00 MB"],
])("%d bytes are %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test("what the reference implementation wrote is written again byte for byte", async () => {
  const path = fixture("every-dtype.safetensors");
  const file = await SafetensorsFile.open(path);
  const copies = [...file.tensors.values()].map((entry) => ({ ...entry, chunks: () => file.readPieces(entry.name) }));
  const copy = join(folder, "copy.safetensors");
  await writeSafetensors(copy, copies, Object.fromEntries(file.metadata));
  expect((await readFile(copy)).equals(await readFile(path))).toBe(true);
  await file.close();
});
