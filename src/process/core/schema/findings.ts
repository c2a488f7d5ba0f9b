import type { OutputUnit } from '@cfworker/json-schema';

/** Further ones are not looked for. */
export const MOST_TOLD = 10;

/**
 * What is wrong with a body, as far as it is told: each once, the first few. Those above others only say that something
 * further in is wrong, which comes behind them.
 */
export function innermost(found: readonly OutputUnit[]): readonly OutputUnit[] {
  if (found.length < 2) return found;
  const above = new Set<string>();
  const isInner = ({ instanceLocation: at, keyword }: OutputUnit): boolean => {
    const isAbove = above.has(at);
    // Where one is known, those above it are.
    for (let end = at.lastIndexOf('/'); end !== -1; end = at.lastIndexOf('/', end - 1)) {
      const parent = at.slice(0, end);
      if (above.has(parent)) break;
      above.add(parent);
    }
    return keyword === 'required' || !isAbove;
  };
  const inner = found.toReversed().filter(isInner).toReversed();
  // Two alternatives may lead to the same place.
  const told = new Map(inner.map((unit) => [`${unit.instanceLocation}: ${unit.error}`, unit]));
  return [...told.values()].slice(0, MOST_TOLD);
}

export const finding = (instanceLocation: string, keyword: string, error: string): OutputUnit => ({
  instanceLocation,
  keyword,
  keywordLocation: '',
  error,
});

export const textOf = (found: readonly OutputUnit[]): string =>
  found.map(({ instanceLocation, error }) => `${instanceLocation.replace(/^#\/?/, '') || 'body'}: ${error}`).join('; ');
