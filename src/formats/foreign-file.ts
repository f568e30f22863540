import { UserError } from "./errors.ts";

/** What is found where a safetensors file was expected; each is known by its first bytes. */
const SIGNATURES: readonly { readonly bytes: readonly number[]; readonly is: string }[] = [
  { bytes: [...Buffer.from("GGUF")], is: "a GGUF file (llama.cpp's format). Get the model as .safetensors instead" },
  { bytes: [...Buffer.from("ptrt")], is: "a TensorRT engine. Give the checkpoint that it was built from instead" },
  { bytes: [...Buffer.from("ftrt")], is: "a TensorRT engine. Give the checkpoint that it was built from instead" },
  { bytes: [0x89, ...Buffer.from("HDF")], is: "an HDF5 file (Keras). Get the model as .safetensors instead" },
  { bytes: [0x89, ...Buffer.from("PNG")], is: "a PNG image. Give a .safetensors file instead" },
  { bytes: [0x1f, 0x8b], is: "a gzip archive. Unpack it first" },
  { bytes: [...Buffer.from("7z"), 0xbc, 0xaf], is: "a 7z archive. Unpack it first" },
  {
    bytes: [...Buffer.from("version https://git-lfs.")],
    is: "a Git LFS pointer, not the model itself. Run `git lfs pull` where it was cloned, or download the file",
  },
];

const PICKLE_ADVICE =
  "Pickles can run any code while they are read, so they are refused. Get the .safetensors version, or convert it where you trust it:" +
  " torch.load(…, weights_only=True), then safetensors.torch.save_file";

/**
 * The error for a file that begins as something else than a safetensors file, or undefined where it may be one.
 * @param start the file's first bytes; 512 are enough
 */
export function describeForeignFile(path: string, start: Uint8Array): UserError | undefined {
  // A valid file has "{" at byte 8, after a length whose upper bytes are zero; no other format here has both.
  if (start[8] === 0x7b && start[5] === 0 && start[6] === 0 && start[7] === 0) return undefined;
  const signature = SIGNATURES.find(({ bytes }) => bytes.every((byte, i) => start[i] === byte));
  if (signature) return new UserError("file.invalid", `${path} is ${signature.is}.`);
  if (beginsWith(start, [0x50, 0x4b, 0x03, 0x04])) {
    return new UserError(
      "file.pickle",
      `${path} is a zip archive: a PyTorch pickle (.ckpt, .pt, .bin) or other packed file. ${PICKLE_ADVICE}.`,
    );
  }
  if (start[0] === 0x80 && start[1]! >= 2 && start[1]! <= 5) {
    return new UserError("file.pickle", `${path} is a Python pickle (.ckpt, .pt). ${PICKLE_ADVICE}.`);
  }
  if (/^\s*<(?:!doctype|html|\?xml|head)/i.test(Buffer.from(start).toString("latin1"))) {
    return new UserError(
      "file.invalid",
      `${path} is a web page, not a model: the download was answered with a page (a login?). Download it again.`,
    );
  }
  return undefined;
}

function beginsWith(start: Uint8Array, bytes: readonly number[]): boolean {
  return bytes.every((byte, i) => start[i] === byte);
}
