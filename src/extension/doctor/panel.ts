import * as vscode from "vscode";
import type { DoctorAction, DoctorProtocol } from "../../webview/doctor/protocol.ts";
import type { Jobs } from "../../worker/protocol.ts";
import { doctorText } from "../reportTexts.ts";
import { webviewHtml, webviewOptions } from "../webviews/html.ts";
import { WebviewServer } from "../webviews/server.ts";
import { doctorTexts, toReport } from "./report.ts";

type Result = Jobs["doctor"]["result"];

/** The commands behind the page's buttons. */
const COMMANDS: Readonly<Record<DoctorAction, readonly [command: string, ...args: unknown[]]>> = {
  install: ["tensorrt.installRuntime"],
  libraryPath: ["tensorrt.openSettings", "tensorrt.libraryPath"],
  pythonPath: ["tensorrt.openSettings", "tensorrt.pythonPath"],
  restart: ["tensorrt.restartWorker"],
  log: ["tensorrt.showLog"],
  settings: ["tensorrt.openSettings"],
};

/** What was found on this machine, as a page with buttons; one at a time. */
export class DoctorPanel implements vscode.Disposable {
  readonly #extensionUri: vscode.Uri;
  readonly #look: () => Promise<Result>;
  #panel: vscode.WebviewPanel | undefined;
  #server: WebviewServer<DoctorProtocol> | undefined;
  #result: Result | undefined;

  /** @param look runs the job; rejects with its error */
  constructor(extensionUri: vscode.Uri, look: () => Promise<Result>) {
    this.#extensionUri = extensionUri;
    this.#look = look;
  }

  /** Opens the page, or shows its new state where it is open already. */
  show(result: Result): void {
    this.#result = result;
    if (this.#panel) {
      this.#server?.send("report", toReport(result));
      this.#panel.reveal();
      return;
    }
    const title = vscode.l10n.t("TensorRT Doctor");
    const panel = vscode.window.createWebviewPanel("tensorrt.doctor", title, vscode.ViewColumn.Active, {
      ...webviewOptions(this.#extensionUri),
      retainContextWhenHidden: true,
    });
    panel.iconPath = vscode.Uri.joinPath(this.#extensionUri, "media", "icon.svg");
    this.#panel = panel;
    const server = new WebviewServer<DoctorProtocol>(panel.webview, {
      look: async () => toReport((this.#result = await this.#look())),
      act: async ({ action }) => {
        const [command, ...args] = COMMANDS[action];
        await vscode.commands.executeCommand(command, ...args);
        return null;
      },
      copy: async () => {
        await vscode.env.clipboard.writeText(doctorText(this.#result ?? result));
        return null;
      },
    });
    this.#server = server;
    panel.onDidDispose(() => {
      server.dispose();
      this.#panel = undefined;
      this.#server = undefined;
    });
    panel.webview.html = webviewHtml(panel.webview, this.#extensionUri, {
      name: "doctor",
      title,
      data: { texts: doctorTexts(), start: toReport(result) },
    });
  }

  dispose(): void {
    this.#panel?.dispose();
  }
}
