import * as vscode from "vscode";
import { loadEngine, unloadEngine } from "./commands/engines.ts";
import { exportDelta, makeDelta } from "./commands/exportDelta.ts";
import { exportEngine } from "./commands/exportEngine.ts";
import { generateImage } from "./commands/generateImage.ts";
import { doctor, inspect } from "./commands/reports.ts";
import { runBatch } from "./commands/runBatch.ts";
import type { Services } from "./commands/services.ts";
import { registerCommands, TASK_TYPE } from "./contributions.ts";
import { ModelFiles } from "./files.ts";
import { JobRunner } from "./jobs.ts";
import { createLog } from "./log.ts";
import { ReportDocuments } from "./reports.ts";
import { Stacks } from "./stack/stacks.ts";
import { createStatusItem } from "./status.ts";
import { TaskProvider } from "./tasks/provider.ts";
import { DeltasView } from "./views/deltas.ts";
import { EnginesView } from "./views/engines.ts";
import { WorkerHost } from "./worker/host.ts";

let worker: WorkerHost | undefined;

/** Puts the parts together; nothing is read or started here. */
export function activate(context: vscode.ExtensionContext): void {
  const start = performance.now();
  const log = createLog();
  worker = new WorkerHost(context.asAbsolutePath("dist/worker.js"), log);
  const files = new ModelFiles(worker, log);
  const jobs = new JobRunner(worker, log);
  const reports = new ReportDocuments();
  const stacks = new Stacks(worker, context.workspaceState, log);
  const services: Services = { files, jobs, log, reports, memory: context.workspaceState, stacks, worker };
  const tasks = new TaskProvider(context.asAbsolutePath("dist/cli.js"), files);
  const host = worker;
  context.subscriptions.push(
    log,
    worker,
    files,
    stacks,
    reports.register(),
    createStatusItem(worker),
    new EnginesView(files, worker, (engine, lora) => makeDelta(services, engine, lora)).register(),
    new DeltasView(files).register(),
    vscode.tasks.registerTaskProvider(TASK_TYPE, tasks),
    // A worker that was started restricted stays so: trust comes with a new one.
    vscode.workspace.onDidGrantWorkspaceTrust(() => void host.stop()),
    ...registerCommands({
      "tensorrt.exportEngine": exportEngine(services),
      "tensorrt.exportDelta": exportDelta(services),
      "tensorrt.generateImage": generateImage(services),
      "tensorrt.runBatch": runBatch(services, tasks),
      "tensorrt.inspect": inspect(services),
      "tensorrt.doctor": doctor(services),
      "tensorrt.loadEngine": loadEngine(services),
      "tensorrt.unloadEngine": unloadEngine(services),
      "tensorrt.refresh": () => files.refresh(),
      "tensorrt.restartWorker": () => host.restart(),
      "tensorrt.showLog": () => Promise.resolve(log.show()),
    }),
  );
  log.info(`Activated in ${(performance.now() - start).toFixed(1)} ms.`);
}

/** VS Code waits for the worker to free its engines. */
export function deactivate(): Promise<void> | undefined {
  return worker?.stop();
}
