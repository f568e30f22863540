import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Puts a language pack into a server's data folder, as its installation from the marketplace would leave it: VS Code shows an extension's
 * texts in a language that a pack is installed for alone. It translates nothing of VS Code itself.
 */
export function installLanguagePack(dataFolder: string, language: string): void {
  const name = `language-pack-${language}`;
  const folder = join(dataFolder, "extensions", `test.${name}-1.0.0`);
  const translations = join(folder, "main.i18n.json");
  mkdirSync(folder, { recursive: true });
  write(translations, { version: "1.0.0", contents: {} });
  const localizations = [{ languageId: language, translations: [{ id: "vscode", path: "./main.i18n.json" }] }];
  write(join(folder, "package.json"), {
    name,
    publisher: "test",
    version: "1.0.0",
    engines: { vscode: "*" },
    contributes: { localizations },
  });
  // Where VS Code looks for what packs there are.
  const extensions = [{ extensionIdentifier: { id: `test.${name}` }, version: "1.0.0" }];
  const pack = { hash: name, label: language, extensions, translations: { vscode: translations } };
  write(join(dataFolder, "data", "languagepacks.json"), { [language]: pack });
}

function write(path: string, content: object): void {
  writeFileSync(path, JSON.stringify(content));
}
