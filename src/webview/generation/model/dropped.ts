import type { DroppedPicture } from "../protocol.ts";

/** What was dropped: the name of a file that the host can read, or a file that only the page can. */
export type Dropped = { readonly uri: string } | Pick<File, "name" | "size" | "arrayBuffer">;

/**
 * What the host is sent of what was dropped. Throws an Error with `tooLarge`'s sentence for a file of more than `largest` bytes, without
 * reading it, and what reading it throws.
 */
export async function readDropped(dropped: Dropped, largest: number, tooLarge: (name: string) => string): Promise<DroppedPicture> {
  if ("uri" in dropped) return dropped;
  const { name, size } = dropped;
  if (size > largest) throw new Error(tooLarge(name));
  return { name, bytes: new Uint8Array(await dropped.arrayBuffer()) };
}
