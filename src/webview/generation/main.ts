import "../shared/page.css";
import "./controls.css";
import "./main.css";
import "./stage.css";
import { render } from "lit";
import type { GenerationTexts } from "../../extension/generation/texts.ts";
import { HostConnection } from "../shared/host.ts";
import { hostChannel, readPageData, savedState } from "../shared/page.ts";
import { Actions } from "./actions.ts";
import { listenToDrops } from "./drops.ts";
import { latestForm } from "./model/form.ts";
import { Page } from "./page.ts";
import type { GenerationProtocol, PanelStart, PanelState } from "./protocol.ts";
import { speakProgress } from "./speech.ts";
import { pageView } from "./view/page-view.ts";

/** The generation panel's page. */
const { texts, start } = readPageData() as { readonly texts: GenerationTexts; readonly start: PanelStart };
const host = new HostConnection<GenerationProtocol>(hostChannel);
const root = document.body.appendChild(document.createElement("main"));
const kept = latestForm([savedState(), start.kept], start.defaults);
const form = start.engine === undefined || savedState() !== undefined ? kept : { ...kept, engine: start.engine };
const page = new Page(texts, start, form, () => render(pageView(page, actions), root));
const actions = new Actions(page, host);

host.on("changed", (changed) => {
  page.setHost(changed);
  if (changed.engines) afterEngines();
});
host.on("progress", ({ id, progress }) => {
  const { queue } = page.state.host;
  if (queue.running?.id !== id) return;
  const preview = progress.preview ?? queue.running.progress?.preview;
  page.setHost({ queue: { ...queue, running: { ...queue.running, progress: { ...progress, ...(preview && { preview }) } } } });
  page.set({ spoken: speakProgress(progress) });
});
host.on("done", ({ id }) => {
  const item = page.state.host.history.find((each) => each.id === id);
  page.set({ shown: { id, index: 0 }, spoken: page.text("finished", item?.form.prompt ?? "") });
});
host.on("choose", ({ engine }) => actions.change({ engine }));

/** The first engine is chosen where none is, or where the chosen one has gone. */
function afterEngines(): void {
  const [first] = page.state.host.engines;
  if (page.engine === undefined && first) actions.change({ engine: first.path });
  else if (!page.state.prompts) void actions.countTokens();
}

async function begin(): Promise<void> {
  const state: PanelState = await host.request("state", { engine: form.engine }, { timeout: 120_000 });
  page.setHost(state);
  page.set({ ready: true });
  afterEngines();
  if (form.source !== "") await actions.dropSource({ uri: form.source });
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    void actions.start();
  } else if (event.key === "Escape" && !event.defaultPrevented) {
    if (page.state.compared === undefined) void actions.cancelRunning();
    else page.set({ compared: undefined });
  }
});
listenToDrops(page, actions);
render(pageView(page, actions), root);
begin().catch((error: unknown) => page.set({ problem: error instanceof Error ? error.message : String(error) }));
