import { OTHER } from '../util/error-type.ts';
import type { Labels } from './metrics.ts';

/** Most values of an attribute that come from outside: codes may be made of ids, and exchanges of what somebody asks for. */
const MAX_VALUES: Readonly<Record<string, number>> = Object.freeze({
  'error.type': 100,
  'messaging.destination.name': 1_000,
});

/** Keeps the memory that metrics take from growing with values that never end: those that come too late are `_OTHER`. */
export class Bounded {
  readonly #known = new Map(Object.keys(MAX_VALUES).map((name) => [name, new Set<string>()]));

  labels(labels: Labels): Labels {
    let bounded: Record<string, string> | undefined;
    for (const [name, known] of this.#known) {
      const value = labels[name];
      if (value === undefined || known.has(value)) continue;
      if (known.size < (MAX_VALUES[name] ?? 0)) known.add(value);
      else bounded = { ...labels, ...bounded, [name]: OTHER };
    }
    return bounded ?? labels;
  }
}
