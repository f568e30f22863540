/** What tells layers of one file from each other: without the ends that all names have. */
export function shortName(name: string): string {
  return name.replace(/^(model\.diffusion_model\.|base_model\.model\.|lora_unet_|diffusion_model\.)/, "").replace(/\.weight$/, "");
}

/** What all names begin with, and end with: the words of a filter that finds them. */
export function commonWords(names: readonly string[]): string {
  const [first = "", ...others] = names;
  if (others.length === 0) return first;
  let start = first.length;
  while (others.some((name) => !name.startsWith(first.slice(0, start)))) start--;
  let end = 0;
  while (end < first.length - start && others.every((name) => name.endsWith(first.slice(first.length - end - 1)))) end++;
  const words = [first.slice(0, start), first.slice(first.length - end)];
  return words.filter((word) => word !== "").join(" ");
}

/** The last part of a path, of either kind of machine. */
export function lastPart(path: string): string {
  return path.replace(/^.*[/\\]/, "");
}
