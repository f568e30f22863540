import assert from "node:assert/strict";
import type { Flow } from "../harness/flow.ts";
import { findWorkers, nativeLibraries } from "../harness/processes.ts";

export const flow: Flow = {
  name: "in Restricted Mode files are shown, and a command says why it does not run",
  trusted: false,
  async run({ workbench, server }) {
    await workbench.openContainer();
    await workbench.treeRow("ink.safetensors").waitFor({ timeout: 60_000 });
    await workbench.welcome("running engines is off until").waitFor();
    await workbench.command("TensorRT: Doctor");
    await workbench.notification("off in Restricted Mode").waitFor();
    await workbench.screenshot("restricted");
    for (const { id } of findWorkers(server)) assert.deepEqual(nativeLibraries(id), []);
  },
};
