import type { DeadLetter } from './dead-letter.ts';

/** Dead letters with the same reason and handler. */
export interface DeadLetterGroup {
  readonly reason: string | undefined;
  readonly handler: string | undefined;
  readonly count: number;
  /** When the first and the last were given up: ISO 8601, UTC. */
  readonly oldest: string | undefined;
  readonly newest: string | undefined;
}

/** Counts by reason and handler, the largest group first. */
export class GroupCounter {
  readonly #groups = new Map<string, DeadLetterGroup>();

  add({ reason, handler, time }: DeadLetter): void {
    const name = JSON.stringify([reason, handler]);
    const group = this.#groups.get(name) ?? { reason, handler, count: 0, oldest: time, newest: time };
    const { oldest = time, newest = time } = group;
    this.#groups.set(name, {
      ...group,
      count: group.count + 1,
      oldest: time !== undefined && oldest !== undefined && time < oldest ? time : oldest,
      newest: time !== undefined && newest !== undefined && time > newest ? time : newest,
    });
  }

  get groups(): DeadLetterGroup[] {
    return [...this.#groups.values()].toSorted((a, b) => b.count - a.count);
  }
}
