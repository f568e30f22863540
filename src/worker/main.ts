import { IPCMessageReader, IPCMessageWriter, createMessageConnection } from "vscode-jsonrpc/node";
import { chooseArithmetic, chooseHasher } from "../engines/arithmetic.ts";
import { EngineCache } from "../jobs/engine-cache.ts";
import { PlainArithmetic } from "../lora/plain-arithmetic.ts";
import { StackArithmetic } from "../lora/stack-arithmetic.ts";
import { serve } from "./server.ts";

/*
 * The worker process: holds the engines, so that a crash, an out-of-memory or a hung build in native code never ends the
 * process that started it. Started with an IPC channel; ends with it.
 */

/** How long jobs get to remove what they have half-written, once nobody is left to tell. */
const CLEAN_UP_MILLISECONDS = 2_000;

if (!process.connected) {
  process.stderr.write("This is the worker process of TensorRT Redux: the extension starts it. For a terminal there is tensorrt-redux.\n");
  process.exit(2);
}

const connection = createMessageConnection(new IPCMessageReader(process), new IPCMessageWriter(process));
const restricted = process.argv.includes("--restricted");
// In an untrusted workspace files are looked into without anything native.
const engines = restricted
  ? new EngineCache(new StackArithmetic(new PlainArithmetic()))
  : new EngineCache(chooseArithmetic(), chooseHasher());
const server = serve(connection, engines, { restricted });

process.on("disconnect", () => {
  setTimeout(() => process.exit(0), CLEAN_UP_MILLISECONDS).unref();
  void server.close().finally(() => process.exit(0));
});
// Ctrl-C in a terminal goes to the whole process group; this process ends with its parent, not with the key.
process.on("SIGINT", () => {});
connection.listen();
