import { LitElement } from "lit";

/** An element without a shadow root, so that the page's styles are its own, which is told when its size changes. */
export abstract class SizedElement extends LitElement {
  readonly #observer = new ResizeObserver(() => this.resized());

  protected abstract resized(): void;

  protected override createRenderRoot(): this {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#observer.observe(this);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#observer.disconnect();
  }
}
