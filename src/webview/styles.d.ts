/** Style sheets that scripts import: esbuild gathers them in the webview's own file. */
declare module "*.css";
