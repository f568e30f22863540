import type { TensorShapes } from "./tensor-shapes.ts";
import { unetDiffusersToLdm } from "./unet-names.ts";
import { unetStructureFromDiffusers } from "./unet-structure.ts";

/** The change of name from diffusers' UNet keys to single-file ones; keys of no module keep their name. */
export function renameUNet(shapes: TensorShapes): (name: string) => string {
  const modules = unetDiffusersToLdm(unetStructureFromDiffusers(shapes));
  return (name) => {
    const end = name.lastIndexOf(".");
    const module = modules.get(name.slice(0, Math.max(end, 0)));
    return module === undefined ? name : module + name.slice(end);
  };
}
