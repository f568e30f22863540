import { createHash } from "node:crypto";
import { realpath, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeError } from "../formats/atomic-file.ts";
import { UserError } from "../formats/errors.ts";
import { readError } from "../formats/random-access-file.ts";
import { removeAbandoned, temporarySibling, writersOf } from "../formats/temporary-names.ts";

/**
 * Runs `body` while this process alone, of those on this machine, runs a batch file: two runs would take each other's jobs for those of a
 * killed one. A hidden file beside it says which process it is; what a killed one left of that is removed. Throws "batch.running" where
 * another runs it, "disk.full" or "file.unwritable" where the folder cannot be written, and what `body` throws.
 */
export async function withBatchClaimed<Result>(batch: string, body: () => Promise<Result>): Promise<Result> {
  const place = placeOf(
    await realpath(batch).catch((error: unknown) => {
      throw readError(batch, error);
    }),
  );
  await removeAbandoned(dirname(place));
  const claim = temporarySibling(place);
  try {
    await writeFile(claim, "", { flag: "wx" });
  } catch (error) {
    throw writeError(batch, error);
  }
  try {
    // Looked at once the own claim stands: of two that begin at once, at least one sees the other.
    const [other] = await writersOf(place, claim);
    if (other !== undefined)
      throw new UserError("batch.running", `${batch} is being run by process ${other}. Wait for its end, or stop it.`);
    return await body();
  } finally {
    await rm(claim, { force: true });
  }
}

/** Names of unfinished files keep the beginning of the final one's: the hash tells apart what begins alike. */
function placeOf(batch: string): string {
  return join(dirname(batch), `batch-${createHash("sha256").update(batch).digest("hex").slice(0, 16)}`);
}
