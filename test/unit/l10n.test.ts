import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

type Texts = Readonly<Record<string, string>>;

const ROOT = join(import.meta.dirname, "..", "..");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const readTexts = (path: string): Texts => JSON.parse(read(path)) as Texts;

const manifest = readTexts("package.nls.json");
const code = readTexts("l10n/bundle.l10n.json");
/** Of each other language. */
const LANGUAGES = readdirSync(join(ROOT, "l10n")).flatMap((name) => /^bundle\.l10n\.(\w+)\.json$/.exec(name)?.[1] ?? []);

/** The texts that the code hands to `l10n.t`, with what their string literals stand for. */
function textsOfCode(): string[] {
  const folder = join(ROOT, "src", "extension");
  const files = (readdirSync(folder, { recursive: true }) as string[]).filter((name) => name.endsWith(".ts"));
  const literal = /\bl10n\.t\(\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|[^\s"'`])/g;
  return files.flatMap((name) =>
    Array.from(read(join("src", "extension", name)).matchAll(literal), ([, text]) => {
      expect(text, `${name}: l10n.t takes a plain text`).toMatch(/^"/);
      return JSON.parse(text!) as string;
    }),
  );
}

const sorted = (names: Iterable<string>): string[] => [...new Set(names)].toSorted();

/** What has to stand in a translation as it stands in the text: arguments, links' targets, icons, code, line breaks. */
function marks(text: string): string[] {
  return Array.from(text.matchAll(/\{\d+\}|\]\([^)]*\)|\$\([\w~-]+\)|`[^`]*`|\n/g), ([mark]) => mark).toSorted();
}

test("every text of the code is in the bundle, and no other", () => {
  expect(sorted(Object.keys(code))).toEqual(sorted(textsOfCode()));
  for (const [key, text] of Object.entries(code)) expect(text).toBe(key);
});

test("every text of package.json is in package.nls.json, and no other", () => {
  const used = Array.from(read("package.json").matchAll(/"%([\w.]+)%"/g), ([, key]) => key!);
  expect(sorted(Object.keys(manifest))).toEqual(sorted(used));
});

test("there is another language", () => {
  expect(LANGUAGES).toContain("de");
});

test.each(
  LANGUAGES.flatMap(
    (language) =>
      [
        [`l10n/bundle.l10n.${language}.json`, code],
        [`package.nls.${language}.json`, manifest],
      ] as const,
  ),
)("%s is complete, and keeps arguments, links and code", (path, texts) => {
  const translated = readTexts(path);
  expect(sorted(Object.keys(translated))).toEqual(sorted(Object.keys(texts)));
  for (const [key, text] of Object.entries(texts)) {
    expect(translated[key]!.trim(), key).not.toBe("");
    expect(marks(translated[key]!), key).toEqual(marks(text));
  }
});
