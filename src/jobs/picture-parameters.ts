import { parseParameters } from "../formats/parameters.ts";
import { readPngParameters } from "../formats/png.ts";
import type { PictureParameters } from "./results.ts";

/** What a picture was made with, as this program and the WebUI family write it; throws "png.noParameters" where it does not say. */
export async function readPictureParameters(path: string): Promise<PictureParameters> {
  const { others, ...known } = parseParameters(await readPngParameters(path));
  return { ...known, others: Object.fromEntries(others) };
}
