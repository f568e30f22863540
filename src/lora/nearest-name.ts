/** How many of a name's parts may be missing, added or different for another name to be near it. */
const LARGEST_DISTANCE = 3;

/**
 * The known name that differs from `name` in the fewest parts between dots and underscores (Levenshtein distance, the parts as letters);
 * undefined where none is near. The first of several equally near ones.
 */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  const parts = split(name);
  if (parts.length > 64) return undefined;
  let nearest: string | undefined;
  let best = Math.min(LARGEST_DISTANCE, parts.length - 1) + 1;
  for (const candidate of known) {
    const distance = partDistance(parts, split(candidate), best);
    if (distance >= best) continue;
    best = distance;
    nearest = candidate;
  }
  return nearest;
}

function split(name: string): string[] {
  return name.split(/[._]/);
}

/** The distance, or any number from `limit` on where it is that large. */
function partDistance(a: readonly string[], b: readonly string[], limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[j]! + 1, current[j - 1]! + 1));
    }
    if (Math.min(...current) >= limit) return limit;
    previous = current;
  }
  return previous[b.length]!;
}
