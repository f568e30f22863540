import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Memento } from "vscode";

/** Another window may have just kept a picture whose form the memory does not hold yet, or holds no longer. */
const PATIENCE_MILLISECONDS = 24 * 60 * 60 * 1000;
/** Names that pictures are kept under (see sources.ts): of their content, or for as long as they are read. */
const OWN_NAME = /^[0-9a-f-]{24,36}\.png$/;

/**
 * Removes the pictures to start from that were kept in `folder` and that nothing in the workspace's memory names any more: not the form, no
 * job that waits in any window, no record of the history.
 */
export async function removeUnusedSources(folder: string, memory: Memento, now = Date.now()): Promise<void> {
  const names = (await readdir(folder).catch((): string[] => [])).filter((name) => OWN_NAME.test(name));
  if (names.length === 0) return;
  const remembered = memory.keys().map((key) => JSON.stringify(memory.get(key)) ?? "");
  const unused = names.filter((name) => !remembered.some((text) => text.includes(name)));
  await Promise.all(
    unused.map(async (name) => {
      const path = join(folder, name);
      const { mtimeMs } = await stat(path);
      if (now - mtimeMs > PATIENCE_MILLISECONDS) await rm(path, { force: true });
    }),
  );
}
