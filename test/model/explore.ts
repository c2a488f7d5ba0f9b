import type { Rules } from './rules.ts';
import { type Size, STAGE, State } from './state.ts';
import { steps } from './steps.ts';

export type Exploration =
  | { readonly kind: 'holds'; readonly states: number; readonly depth: number }
  | { readonly kind: 'violated'; readonly states: number; readonly promise: string; readonly path: readonly string[] };

interface Origin {
  readonly from: string;
  readonly what: string;
}

/**
 * Goes through every state that can be reached, nearest first, until there are no new ones. A counterexample is
 * therefore one of the shortest.
 */
export function explore(size: Size, rules: Rules): Exploration {
  const start = new State(size);
  const origins = new Map<string, Origin | undefined>([[start.name, undefined]]);
  let layer = [start];
  for (let depth = 0; ; depth++) {
    const next: State[] = [];
    for (const state of layer) {
      const { steps: possible, isBounded } = steps(state, rules);
      const isAtRest = !isBounded && possible.every(({ isFault }) => isFault);
      const promise = broken(state, isAtRest);
      if (promise) return { kind: 'violated', states: origins.size, promise, path: pathTo(state.name, origins) };
      const from = state.name;
      for (const { what, state: to } of possible) {
        const { name } = to;
        if (origins.has(name)) continue;
        origins.set(name, { from, what });
        next.push(to);
      }
    }
    if (next.length === 0) return { kind: 'holds', states: origins.size, depth };
    layer = next;
  }
}

/** The promise that does not hold here; undefined when all do. */
function broken(state: State, isAtRest: boolean): string | undefined {
  const effects = state.effects();
  for (const [at, m] of effects.entries()) {
    if (state.message(m, 'stage') !== STAGE.committed) return `P1: ${m} takes effect without its transaction`;
    if (effects.indexOf(m) !== at) return `P2: ${m} takes effect twice`;
    const isOvertaken = effects.some((other, after) => {
      const isLaterEffect = after > at && state.size.keys[other] === state.size.keys[m];
      return isLaterEffect && state.message(other, 'rank') < state.message(m, 'rank');
    });
    if (isOvertaken) return `P3: ${m} takes effect before an earlier one of its key`;
  }
  for (let m = 0; m < state.messages; m++) {
    if (state.message(m, 'stage') !== STAGE.committed || effects.includes(m)) continue;
    if (isAtRest) return `P1: nothing happens any more, and ${m} has no effect`;
    if (state.message(m, 'row') === 0 && state.message(m, 'orphan') === 0 && !isInQueue(state, m)) {
      return `P1: ${m} is nowhere any more, and has no effect`;
    }
  }
  return undefined;
}

function isInQueue(state: State, m: number): boolean {
  for (let i = 0; i < state.slots; i++) if (state.slotMessage(i) === m) return true;
  return false;
}

function pathTo(name: string, origins: ReadonlyMap<string, Origin | undefined>): string[] {
  const path: string[] = [];
  for (let at = origins.get(name); at; at = origins.get(at.from)) path.unshift(at.what);
  return path;
}
