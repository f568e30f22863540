/** Whether what is drawn stands on a dark ground. */
export function isDarkTheme(): boolean {
  const { classList } = document.body;
  return (
    classList.contains("vscode-dark") || (classList.contains("vscode-high-contrast") && !classList.contains("vscode-high-contrast-light"))
  );
}

/** A colour of the theme that is in use. */
export function themeColour(name: string, fallback: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim() || fallback;
}
