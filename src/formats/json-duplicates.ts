/**
 * The first key that stands twice in one object of a JSON text, or undefined. `JSON.parse` silently keeps the last of them,
 * so two readers could see different tensors under one name.
 * @param text valid JSON
 * @param value what `JSON.parse` made of it
 */
export function findDuplicateKey(text: string, value: unknown): string | undefined {
  // Counting takes a tenth of the time of looking at each object's keys, and is enough for almost every file.
  return countKeysOfText(text) === countKeys(value) ? undefined : nameDuplicateKey(text);
}

/** Of all objects in it. Without recursion: hostile files are nested a million deep. */
function countKeys(value: unknown): number {
  let count = 0;
  const waiting = [value];
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (typeof next !== "object" || next === null) continue;
    const elements: unknown[] = Array.isArray(next) ? next : Object.values(next);
    if (!Array.isArray(next)) count += elements.length;
    for (const element of elements) if (typeof element === "object") waiting.push(element);
  }
  return count;
}

function countKeysOfText(text: string): number {
  let count = 0;
  for (let start = text.indexOf('"'); start >= 0;) {
    const end = endOfString(text, start);
    if (isKey(text, end)) count++;
    start = text.indexOf('"', end);
  }
  return count;
}

function nameDuplicateKey(text: string): string | undefined {
  /** The keys seen in each object that is open; undefined for an open array. */
  const open: (Set<string> | undefined)[] = [];
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === "{") open.push(new Set());
    else if (character === "[") open.push(undefined);
    else if (character === "}" || character === "]") open.pop();
    else if (character === '"') {
      const end = endOfString(text, i);
      const keys = open.at(-1);
      if (keys && isKey(text, end)) {
        const key = JSON.parse(text.slice(i, end)) as string;
        if (keys.has(key)) return key;
        keys.add(key);
      }
      i = end - 1;
    }
  }
  return undefined;
}

/** The place after the closing quote of the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end + 1;
}

/** Whether an odd number of backslashes stands before it. */
function isEscaped(text: string, place: number): boolean {
  let first = place;
  while (text[first - 1] === "\\") first--;
  return (place - first) % 2 === 1;
}

/** A string is a key where a colon follows it. */
function isKey(text: string, end: number): boolean {
  let i = end;
  while (text[i] === " " || text[i] === "\t" || text[i] === "\n" || text[i] === "\r") i++;
  return text[i] === ":";
}
