import { isDarkTheme, themeColour } from "./theme.ts";
import type { FigureStyle } from "./figure-svg.ts";

/** Pixels of a saved picture for each of the figure's. */
const RESOLUTION = 2;

/** The theme in use, as figures need it. */
export function figureStyle(): FigureStyle {
  const isDark = isDarkTheme();
  return {
    ground: themeColour("--vscode-editor-background", isDark ? "#1f1f1f" : "#ffffff"),
    ink: themeColour("--vscode-foreground", isDark ? "#cccccc" : "#3b3b3b"),
    muted: themeColour("--vscode-descriptionForeground", "#808080"),
    accent: themeColour("--vscode-charts-blue", "#3794ff"),
    // The themes' own orange is made to be seen through.
    second: isDark ? "#ff9d3c" : "#a84300",
    isDark,
  };
}

/** An SVG's bytes in base64. */
export function svgBytes(svg: string): string {
  return toBase64(new TextEncoder().encode(svg));
}

/** An SVG drawn as a PNG, its bytes in base64. */
export async function pngBytes(svg: string): Promise<string> {
  const image = new Image();
  image.src = `data:image/svg+xml;base64,${svgBytes(svg)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth * RESOLUTION;
  canvas.height = image.naturalHeight * RESOLUTION;
  canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/png").replace(/^data:image\/png;base64,/, "");
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
