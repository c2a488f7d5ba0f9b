/**
 * The known name that a mistyped one most likely means: the fewest letters to change, at most a third of them.
 * A longer name whose last word it is counts as well: `attempts` for `retry.attempts`.
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const wanted = name.toLowerCase();
  const most = Math.max(1, Math.floor(name.length / 3));
  let best: { readonly name: string; readonly cost: number } | undefined;
  for (const candidate of known) {
    const last = candidate.slice(candidate.lastIndexOf('.') + 1).toLowerCase();
    const cost = Math.min(distance(wanted, candidate.toLowerCase()), distance(wanted, last) + 0.5);
    if (cost <= most + 0.5 && cost < (best?.cost ?? Infinity)) best = { name: candidate, cost };
  }
  return best?.name;
}

/** Levenshtein: letters to insert, delete or replace. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
