import { FAULT_KINDS, FAULT_NAMES, type FaultKind, type FaultName } from './fault-kinds.ts';
import { Random } from './random.ts';

export interface PlannedFault {
  /** Injected when so many events have been written. */
  readonly at: number;
  readonly fault: FaultName;
  /** Whom it hits; undefined for a server. */
  readonly slot: string | undefined;
  readonly lastsMs: number;
  /** Decides what else there is to decide. */
  readonly seed: number;
}

export interface PlanOptions {
  readonly seed: number;
  readonly events: number;
  readonly faults: number;
  readonly nodes: number;
  /** @default all but those that only a scenario of its own asks for */
  readonly only?: readonly FaultName[] | undefined;
  readonly victims?: readonly string[] | undefined;
  readonly slots: readonly { readonly name: string; readonly kind: string }[];
}

/** The same seed, the same faults: every kind once before any comes twice, spread over the events. */
export function plan({ seed, events, faults, nodes, slots, only, victims }: PlanOptions): PlannedFault[] {
  const random = new Random(seed);
  const usual = FAULT_NAMES.filter((name) => {
    const { needsNodes = 1, isSpecial = false }: FaultKind = FAULT_KINDS[name];
    return needsNodes <= nodes && !isSpecial;
  });
  const possible = only ?? usual;
  let deck: FaultName[] = [];
  return Array.from({ length: faults }, (_, i) => {
    if (deck.length === 0) deck = shuffled(possible, random);
    const fault = deck.pop() ?? 'kill';
    const { hits, lastsMs }: FaultKind = FAULT_KINDS[fault];
    const [least, most] = lastsMs;
    const hit =
      typeof hits === 'string'
        ? undefined
        : random.pick(
            slots.filter(({ kind }) => (hits as readonly string[]).includes(kind) && (victims?.includes(kind) ?? true)),
          );
    return {
      at: Math.round(((i + 0.5 + 0.4 * (random.next() - 0.5)) * events) / faults),
      fault,
      slot: hit?.name,
      lastsMs: Math.round(least + random.next() * (most - least)),
      seed: random.below(2 ** 31),
    };
  });
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const left = [...items];
  return items.map(() => left.splice(random.below(left.length), 1)[0] as T);
}
