import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import type { PageData } from "../../webview/shared/protocol.ts";

export interface WebviewPage<Texts, Start> {
  /** Of the bundle: dist/webview/NAME.js and NAME.css. */
  readonly name: string;
  readonly title: string;
  readonly data: PageData<Texts, Start>;
}

/** The folder of the webviews' bundles: all that a webview may load. */
function webviewFolder(extensionUri: vscode.Uri): vscode.Uri {
  return vscode.Uri.joinPath(extensionUri, "dist", "webview");
}

/** Options of every webview: scripts, and files of `webviewFolder` alone (and of `more`, where pictures are shown). */
export function webviewOptions(extensionUri: vscode.Uri, more: readonly vscode.Uri[] = []): vscode.WebviewOptions {
  return { enableScripts: true, localResourceRoots: [webviewFolder(extensionUri), ...more] };
}

/**
 * The page of a webview: nothing but its own script (by a nonce), its own styles and pictures may load, nothing may connect. What
 * the page is told stands in it as JSON, which no text can leave.
 */
export function webviewHtml<Texts, Start>(
  webview: vscode.Webview,
  extensionUri: vscode.Uri,
  { name, title, data }: WebviewPage<Texts, Start>,
): string {
  const nonce = randomBytes(18).toString("base64");
  const uri = (file: string) => webview.asWebviewUri(vscode.Uri.joinPath(webviewFolder(extensionUri), file)).toString();
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src ${webview.cspSource}`,
    `font-src ${webview.cspSource}`,
    `img-src ${webview.cspSource} blob: data:`,
  ].join("; ");
  return `<!DOCTYPE html>
<html lang="${escapeHtml(vscode.env.language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${uri(`${name}.css`)}">
<title>${escapeHtml(title)}</title>
</head>
<body>
<script type="application/json" id="page-data">${JSON.stringify(data).replaceAll("<", "\\u003c")}</script>
<script nonce="${nonce}" src="${uri(`${name}.js`)}"></script>
</body>
</html>`;
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
