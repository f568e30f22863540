import { noChange } from "lit";
import { type AttributePart, Directive, directive } from "lit/directive.js";

type Styles = Readonly<Record<string, string | undefined>>;

/** Sets styles one by one: lit's own `styleMap` draws the first ones as an attribute, which the pages' content security refuses. */
class SetStyles extends Directive {
  #names: readonly string[] = [];

  override render(_styles: Styles): typeof noChange {
    return noChange;
  }

  override update({ element }: AttributePart, [styles]: [Styles]): typeof noChange {
    const names = Object.keys(styles);
    const values = Object.fromEntries([...this.#names, ...names].map((name) => [name, styles[name] ?? ""]));
    Object.assign(element.style, values);
    this.#names = names;
    return noChange;
  }
}

/** `style=${setStyles({ width: "50%" })}`: properties by their names in camel case; those that are left out later are removed. */
export const setStyles = directive(SetStyles);
