/*
 * Colours that numbers are shown in: perceptually uniform (equal steps of a number look equally large), for every theme. What is
 * small is near the background, what is large stands out.
 */

/** Red, green and blue, 0 to 255. */
export type Rgb = readonly [number, number, number];

/** Lightness and the two axes of Oklab (B. Ottosson, 2020). */
type Oklab = readonly [number, number, number];

/**
 * Ten steps of viridis (S. van der Walt and N. Smith, matplotlib), from small to large on a dark ground; on a light one from the other
 * end, where its yellow, louder there than any other colour, gives way to tints that fade into the ground at the same pace.
 */
const VIRIDIS = {
  dark: ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"],
  light: ["#eaf5e4", "#b9e3ab", "#6ece58", "#35b779", "#1f9e89", "#26828e", "#31688e", "#3e4989", "#482878", "#440154"],
} as const;

/** What is below zero, and what is above, on dark grounds and on light ones: alike in lightness, unlike to all kinds of colour vision. */
const POLES = { dark: ["#4aa3ff", "#ff9d3c"], light: ["#0b4fb3", "#a84300"] } as const;

/** A number from 0 to 1 (or −1 to 1) -> its colour. */
export type ColourScale = (value: number) => Rgb;

/** 0 to 1: more is always further from the ground. */
export function sequentialScale(dark: boolean): ColourScale {
  const stops = VIRIDIS[dark ? "dark" : "light"].map((text) => toOklab(parseHex(text)));
  return (value) => fromOklab(between(stops, Math.max(0, Math.min(1, value))));
}

/** −1 to 1: from one pole through the ground to the other. */
export function divergingScale(ground: Rgb, dark: boolean): ColourScale {
  const [below, above] = POLES[dark ? "dark" : "light"];
  const stops = [parseHex(below), ground, parseHex(above)].map(toOklab);
  return (value) => fromOklab(between(stops, (Math.max(-1, Math.min(1, value)) + 1) / 2));
}

export function cssColour([red, green, blue]: Rgb): string {
  return `rgb(${Math.round(red)}, ${Math.round(green)}, ${Math.round(blue)})`;
}

/** Black or white, whichever is easier to read on a colour (WCAG's relative luminance). */
export function inkOn(colour: Rgb): string {
  const [red, green, blue] = colour.map((value) => toLinear(value / 255)) as unknown as Rgb;
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000000" : "#ffffff";
}

/** "#rrggbb" or "rgb(r, g, b)", as computed styles write it. */
export function parseColour(text: string): Rgb {
  const parts = /^rgba?\(([\d.]+)[, ]+([\d.]+)[, ]+([\d.]+)/.exec(text.trim());
  return parts ? [Number(parts[1]), Number(parts[2]), Number(parts[3])] : parseHex(text.trim());
}

function parseHex(text: string): Rgb {
  const digits = /^#([0-9a-f]{6})/i.exec(text)?.[1] ?? "808080";
  return [0, 2, 4].map((start) => parseInt(digits.slice(start, start + 2), 16)) as unknown as Rgb;
}

function between(stops: readonly Oklab[], place: number): Oklab {
  const position = place * (stops.length - 1);
  const index = Math.min(stops.length - 2, Math.floor(position));
  const part = position - index;
  return [0, 1, 2].map((axis) => stops[index]![axis]! * (1 - part) + stops[index + 1]![axis]! * part) as unknown as Oklab;
}

function toLinear(value: number): number {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

function fromLinear(value: number): number {
  const limited = Math.max(0, Math.min(1, value));
  return 255 * (limited <= 0.0031308 ? limited * 12.92 : 1.055 * limited ** (1 / 2.4) - 0.055);
}

function toOklab(colour: Rgb): Oklab {
  const [r, g, b] = colour.map((value) => toLinear(value / 255)) as unknown as Rgb;
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function fromOklab([lightness, a, b]: Oklab): Rgb {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    fromLinear(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    fromLinear(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    fromLinear(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}
