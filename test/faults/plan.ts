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
  const targets = ({ hits }: FaultKind) =>
    slots.filter(
      ({ kind }) =>
        typeof hits !== 'string' && (hits as readonly string[]).includes(kind) && (victims?.includes(kind) ?? true),
    );
  // A kind that would hit none of the victims is left out.
  const possible = (only ?? usual).filter((name) => {
    const kind: FaultKind = FAULT_KINDS[name];
    return typeof kind.hits === 'string' || targets(kind).length > 0;
  });
  let deck: FaultName[] = [];
  return Array.from({ length: faults }, (_, i) => {
    if (deck.length === 0) deck = shuffled(possible, random);
    const fault = deck.pop() ?? 'kill';
    const kind: FaultKind = FAULT_KINDS[fault];
    const [least, most] = kind.lastsMs;
    const hit = typeof kind.hits === 'string' ? undefined : random.pick(targets(kind));
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
