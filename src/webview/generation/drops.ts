import type { Actions } from "./actions.ts";
import type { Dropped } from "./model/dropped.ts";
import type { Page } from "./page.ts";

/** As VS Code's explorer and the system's file managers name what is dragged. */
const URI_LISTS = ["application/vnd.code.uri-list", "text/uri-list"];

/** Pictures that are dropped: on the source's field they are what the next one starts from, elsewhere their settings are restored. */
export function listenToDrops(page: Page, actions: Actions): void {
  const targetOf = (event: DragEvent): "source" | "page" =>
    event.target instanceof Element && event.target.closest("[data-drop=source]") ? "source" : "page";
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    const dropTarget = targetOf(event);
    if (page.state.dropTarget !== dropTarget) page.set({ dropTarget });
  });
  document.addEventListener("dragleave", (event) => {
    // Between two elements of the page it has not left.
    if (event.relatedTarget === null) page.set({ dropTarget: undefined });
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    page.set({ dropTarget: undefined });
    const target = targetOf(event);
    const dropped = droppedOf(event.dataTransfer);
    if (dropped) void (target === "source" ? actions.dropSource(dropped) : actions.restorePicture(dropped));
  });
}

function droppedOf(dragged: DataTransfer | null): Dropped | undefined {
  const uri = URI_LISTS.map((type) => dragged?.getData(type) ?? "")
    .flatMap((list) => list.split(/\r?\n/))
    .find((line) => line !== "" && !line.startsWith("#"));
  // A file from outside of VS Code has its bytes with it; its uri is one of the person's machine, which a remote host does not know.
  const file = dragged?.files[0];
  return file ?? (uri === undefined ? undefined : { uri });
}
