import { expect, test } from "vitest";
import { readDropped } from "../../src/webview/generation/model/dropped.ts";

const tooLarge = (name: string): string => `${name} is too large`;

/** A file as the page gets it, and whether it was read. */
function file(size: number, bytes: Promise<ArrayBuffer>) {
  const read = { times: 0 };
  const arrayBuffer = (): Promise<ArrayBuffer> => {
    read.times++;
    return bytes;
  };
  return { read, dropped: { name: "a.png", size, arrayBuffer } };
}

test("a file's bytes are sent, a uri as it is", async () => {
  const { dropped } = file(3, Promise.resolve(Uint8Array.of(1, 2, 3).buffer));
  expect(await readDropped(dropped, 3, tooLarge)).toEqual({ name: "a.png", bytes: Uint8Array.of(1, 2, 3) });
  expect(await readDropped({ uri: "file:///a.png" }, 3, tooLarge)).toEqual({ uri: "file:///a.png" });
});

test("one that is too large is refused before it is read", async () => {
  const { dropped, read } = file(4, Promise.resolve(new ArrayBuffer(4)));
  await expect(readDropped(dropped, 3, tooLarge)).rejects.toThrow("a.png is too large");
  expect(read.times).toBe(0);
});
