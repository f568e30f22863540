import { join } from "node:path";
import * as vscode from "vscode";
import { registerBatchLanguage } from "./batch/language.ts";
import { loadEngine, unloadEngine } from "./commands/engines.ts";
import { selectedPaths } from "./commands/arguments.ts";
import { compareDeltas } from "./commands/compareDeltas.ts";
import { convertDelta } from "./commands/convertDelta.ts";
import { exportDelta, makeDelta } from "./commands/exportDelta.ts";
import { exportEngine } from "./commands/exportEngine.ts";
import { installRuntime } from "./commands/installRuntime.ts";
import { generateImage } from "./commands/generateImage.ts";
import { deleteFile, rebuildEngine, reveal } from "./commands/manage.ts";
import { openSettings } from "./commands/openSettings.ts";
import { previewInStack, previewStack } from "./commands/previewStack.ts";
import { doctor, inspect } from "./commands/reports.ts";
import { runBatch } from "./commands/runBatch.ts";
import type { Services } from "./commands/services.ts";
import { addToStack, chooseEngine, clearStack, moveInStack, removeFromStack, setScale, toggleInStack } from "./commands/stack.ts";
import { bake, extractLora, mergeLoras, resizeLora } from "./commands/tools.ts";
import { registerCommands } from "./contributions.ts";
import { DoctorPanel } from "./doctor/panel.ts";
import { EngineProblems } from "./engineProblems.ts";
import { ModelFiles } from "./files.ts";
import { SummaryStore } from "./files/summaries.ts";
import { GenerationPanel } from "./generation/panel.ts";
import { GenerationSession } from "./generation/session.ts";
import { ComparisonPanels } from "./inspector/comparison.ts";
import { InspectorEditor } from "./inspector/editor.ts";
import { JobRunner } from "./jobs.ts";
import { createLog } from "./log.ts";
import { FolderMemory, type Memory, WindowMemory, workspaceName } from "./memory.ts";
import { carryOver, renew } from "./olderMemory.ts";
import { ReportDocuments } from "./reports.ts";
import { trackStacks } from "./stack/context.ts";
import { Stacks } from "./stack/stacks.ts";
import { StatusItem } from "./status.ts";
import { TASK_TYPE } from "./tasks/definition.ts";
import { TaskProvider } from "./tasks/provider.ts";
import { DeltasView } from "./views/deltas.ts";
import { EnginesView } from "./views/engines.ts";
import { StackView } from "./views/stack.ts";
import { processEnvironment, restartOnOtherPlaces } from "./worker/environment.ts";
import { WorkerHost } from "./worker/host.ts";

let worker: WorkerHost | undefined;

/** Puts the parts together; nothing is read or started here. */
export function activate(context: vscode.ExtensionContext): void {
  const start = performance.now();
  const log = createLog();
  const environment = processEnvironment(context.globalStorageUri);
  worker = new WorkerHost(context.asAbsolutePath("dist/worker.js"), environment, log);
  const { version } = context.extension.packageJSON as { readonly version: string };
  const files = new ModelFiles(worker, new SummaryStore(context.storageUri?.fsPath, version), log);
  const jobs = new JobRunner(worker, log);
  const reports = new ReportDocuments();
  const memory = memoryOf(context, log);
  const stacks = new Stacks(worker, memory, log);
  const problems = new EngineProblems(files, worker, log);
  const stackView = new StackView(stacks, (change) => jobs.interactively(change));
  const doctorPanel = new DoctorPanel(context.extensionUri, () => jobs.run("doctor", {}));
  const services: Services = {
    doctorPanel,
    files,
    jobs,
    log,
    reports,
    memory,
    stacks,
    selectedEntries: (argument, selected) =>
      argument ? selectedPaths(argument, selected) : stackView.selection.map(({ uri }) => uri.fsPath),
    worker,
  };
  const tasks = new TaskProvider(context.asAbsolutePath("dist/cli.js"), environment, files, stacks);
  const session = new GenerationSession(services);
  const panel = new GenerationPanel({ context, services, session, problems });
  const places = { extensionUri: context.extensionUri, storageUri: context.globalStorageUri };
  const comparisons = new ComparisonPanels(services, places);
  const host = worker;
  context.subscriptions.push(
    log,
    worker,
    files,
    stacks,
    problems,
    doctorPanel,
    reports.register(),
    new StatusItem(worker, stacks),
    new EnginesView({
      files,
      worker,
      stacks,
      problems,
      makeDelta: (engine, lora) => jobs.interactively(() => makeDelta(services, { engine: engine.fsPath, lora: lora.fsPath })),
    }).register(),
    session,
    panel.register(),
    new DeltasView(files).register(),
    comparisons.register(),
    new InspectorEditor(services, places).register(),
    vscode.tasks.registerTaskProvider(TASK_TYPE, tasks),
    registerBatchLanguage(context.extension.packageJSON as object, files, worker, log),
    stackView.register(),
    trackStacks(stacks),
    restartOnOtherPlaces(worker),
    // A worker that was started restricted stays so: trust comes with a new one, which is asked what the old one was not.
    vscode.workspace.onDidGrantWorkspaceTrust(() => void host.stop().then(() => (files.all.length > 0 ? files.refresh() : undefined))),
    ...registerCommands({
      "tensorrt.exportEngine": exportEngine(services),
      "tensorrt.exportDelta": exportDelta(services),
      "tensorrt.convertDelta": convertDelta(services),
      "tensorrt.generateImage": generateImage(services),
      "tensorrt.openGenerationPanel": panel.show(),
      "tensorrt.runBatch": runBatch(services, tasks),
      "tensorrt.bake": bake(services),
      "tensorrt.extractLora": extractLora(services),
      "tensorrt.resizeLora": resizeLora(services),
      "tensorrt.mergeLoras": mergeLoras(services),
      "tensorrt.inspect": inspect(services),
      "tensorrt.compareDeltas": compareDeltas(services, comparisons),
      "tensorrt.doctor": doctor(services),
      "tensorrt.installRuntime": installRuntime(services),
      "tensorrt.loadEngine": loadEngine(services),
      "tensorrt.unloadEngine": unloadEngine(services),
      "tensorrt.rebuildEngine": rebuildEngine(services),
      "tensorrt.addToStack": addToStack(services),
      "tensorrt.removeFromStack": removeFromStack(services),
      "tensorrt.setScale": setScale(services),
      "tensorrt.toggleInStack": toggleInStack(services),
      "tensorrt.moveInStack": moveInStack(services),
      "tensorrt.previewStack": previewStack(services, comparisons),
      "tensorrt.previewInStack": previewInStack(services, comparisons),
      "tensorrt.clearStack": clearStack(services),
      "tensorrt.chooseEngine": chooseEngine(services),
      "tensorrt.reveal": reveal(),
      "tensorrt.delete": deleteFile(services),
      "tensorrt.openSettings": openSettings(),
      "tensorrt.refresh": () => files.refresh(),
      "tensorrt.restartWorker": () => host.restart(),
      "tensorrt.showLog": () => Promise.resolve(log.show()),
    }),
  );
  log.info(`Activated in ${(performance.now() - start).toFixed(1)} ms.`);
}

/** Windows on one workspace share what it remembers; a window without any has a memory of its own. */
function memoryOf({ globalStorageUri, workspaceState }: vscode.ExtensionContext, log: vscode.LogOutputChannel): Memory {
  const onError = (error: unknown): void => log.warn(`What an older version remembered was not carried over: ${String(error)}`);
  const workspace = vscode.workspace.workspaceFile ?? vscode.workspace.workspaceFolders?.[0]?.uri;
  if (!workspace) {
    renew(workspaceState).catch(onError);
    return new WindowMemory(workspaceState);
  }
  const folder = join(globalStorageUri.fsPath, "workspaces", workspaceName(workspace.toString()));
  try {
    carryOver(workspaceState, folder);
  } catch (error) {
    onError(error);
  }
  return new FolderMemory(folder);
}

/** VS Code waits for the worker to free its engines. */
export function deactivate(): Promise<void> | undefined {
  return worker?.stop();
}
