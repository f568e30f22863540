/** The themes that every surface is looked at in. */
export const THEMES = { light: "Default Light Modern", dark: "Default Dark Modern", contrast: "Default High Contrast" } as const;
