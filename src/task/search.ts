import type { Logger } from '../lifecycle/logger.ts';
import type { Intake, Offer } from './intake.ts';
import type { Ledger } from './ledger.ts';
import type { Runner } from './runner.ts';

export interface SearchParts {
  readonly ledger: Ledger;
  readonly intake: Intake;
  readonly runner: () => Runner;
  readonly concurrency: number;
  readonly logger: Logger;
}

/** A task that has waited for so long: its message is lost, or nobody publishes, or all have much to do. */
const MISSED_MS = 3_000;
/** With messages that come, most of what is found has one that is on its way. */
const QUIET_MS = 200;

/** Finds rows that could begin without their message. */
export class Search {
  readonly #parts: SearchParts;
  /** The last look found as many as it asked for: how long they had waited. */
  #moreMs: number | undefined;
  /** Of what was found last something has begun here, and not elsewhere. */
  #hasBegun = false;

  constructor(parts: SearchParts) {
    this.#parts = parts;
  }

  /** Also without room: one without a message would else wait for as long as others come with theirs. */
  async forMissed(): Promise<void> {
    if (!this.#parts.intake.hasFound) await this.#look(MISSED_MS, this.#parts.concurrency);
  }

  /** @param name only of this task */
  forWork(name?: string): void {
    const { intake } = this.#parts;
    const { room } = this.#parts.runner();
    if (room <= 0 || intake.size > 0) return;
    this.#lookNow(0, room, name);
  }

  begun({ delivery, isTold }: Offer): void {
    if (!delivery && !isTold) this.#hasBegun = true;
  }

  /** Of many without a message (a worker that could not run them acked it) the next begin as soon as there is room. */
  hasRoom(): void {
    const { intake, concurrency } = this.#parts;
    if (this.#moreMs === undefined || !this.#hasBegun || intake.size > 0 || intake.quietMs < QUIET_MS) return;
    const waitedMs = this.#moreMs;
    this.#moreMs = undefined;
    this.#lookNow(waitedMs, concurrency);
  }

  #lookNow(waitedMs: number, limit: number, name?: string): void {
    this.#look(waitedMs, limit, name).catch((error: unknown) => {
      this.#parts.logger.warn({ error, task: name }, 'could not look for tasks that could begin');
    });
  }

  async #look(waitedMs: number, limit: number, name?: string): Promise<void> {
    const { ledger, intake } = this.#parts;
    const ids = await ledger.find(waitedMs, limit, name);
    if (name === undefined) {
      this.#moreMs = ids.length >= limit ? waitedMs : undefined;
      this.#hasBegun = false;
    }
    const { runs } = this.#parts.runner();
    intake.found(ids.filter((id) => !runs.has(id)));
  }
}
