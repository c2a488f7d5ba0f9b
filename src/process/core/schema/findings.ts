import { load } from './library.ts';

/** Further ones are not looked for. */
export const MOST_TOLD = 10;

/** Where in a body a value stands. Names may be as long as the body, and are put together where somebody is told only. */
export interface Place {
  /** @default the body itself */
  readonly above: Place | undefined;
  readonly name: string | number;
}

export const BODY: Place = Object.freeze({ above: undefined, name: '' });

/** Something that is wrong with a body. */
export interface Finding {
  readonly at: Place;
  readonly keyword: string;
  readonly error: string;
}

/** Names on the way from the body. */
function namesOf(place: Place): (string | number)[] {
  const names: (string | number)[] = [];
  for (let at = place; at.above !== undefined; at = at.above) names.push(at.name);
  return names.reverse();
}

/** A place, whoever came there. */
class Spot {
  readonly #below = new Map<string | number, Spot>();
  readonly errors = new Set<string>();
  isAbove = false;

  below(name: string | number): Spot {
    let spot = this.#below.get(name);
    if (!spot) {
      spot = new Spot();
      this.#below.set(name, spot);
    }
    return spot;
  }
}

/**
 * What is wrong with a body, as far as it is told: each once, the first few. Those above others only say that something
 * further in is wrong, which comes behind them.
 */
export function innermost(found: readonly Finding[]): readonly Finding[] {
  if (found.length < 2) return found;
  const body = new Spot();
  const isInner = ({ at, keyword }: Finding, spot: Spot): boolean => {
    const isAbove = spot.isAbove;
    let above = body;
    for (const name of namesOf(at)) {
      above.isAbove = true;
      above = above.below(name);
    }
    return keyword === 'required' || !isAbove;
  };
  const spots = found.map((one) => ({ one, spot: namesOf(one.at).reduce((spot, name) => spot.below(name), body) }));
  const inner = spots.toReversed().filter(({ one, spot }) => isInner(one, spot));
  // Two alternatives may lead to the same place.
  const told = inner.toReversed().filter(({ one, spot }) => {
    if (spot.errors.has(one.error)) return false;
    spot.errors.add(one.error);
    return true;
  });
  return told.slice(0, MOST_TOLD).map(({ one }) => one);
}

export const textOf = (found: readonly Finding[]): string =>
  found
    .map(({ at, error }) => {
      const names = namesOf(at).map((name) => load().escapePointer(String(name)));
      return `${names.join('/') || 'body'}: ${error}`;
    })
    .join('; ');
