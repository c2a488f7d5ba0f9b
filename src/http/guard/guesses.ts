import { type Deferred, deferred } from '../../util/deferred.ts';
import type { Caller } from '../caller.ts';
import { HttpProblem } from '../problem.ts';
import { TokenBuckets } from './token-bucket.ts';

const WRONG_PER_MINUTE = 10;
/** A hook that asks our own database, and finds it down, knows after 10 s: that is no wrong answer. */
const PATIENCE_MS = 30_000;

export interface Refusal {
  /** What they are answered. */
  readonly reason: unknown;
  /** Not where it could not be found out. */
  readonly isWrong: boolean;
}

/** Who calls, or why they are not let in. */
export type Verdict = Caller | Refusal;
export const isRefusal = (verdict: Verdict): verdict is Refusal => 'reason' in verdict;

/** Credentials that are looked at, or are right and wait for those before them; those that were let in are none any more. */
interface Question {
  isRight: boolean;
  readonly letIn: Deferred<void>;
  readonly refused: Deferred<never>;
}

/**
 * Keeps an address from trying more than ten wrong credentials in a minute, also when it sends them all at once. Right
 * ones are let in as soon as those asked before them that have no answer yet are fewer than the wrong ones that are left:
 * had they come one by one, these could not have kept them out. Nobody waits to be asked, only for the end of it.
 *
 *     open ──right──► waits ──fewer open before it than left──► let in
 *      │                └────────────────┐
 *      ├──wrong (refused), or open for 30 s: one less is left──none──► 429, for all that are open or wait
 *      └──not found out──► refused
 */
export class Guesses {
  readonly #left = new TokenBuckets(WRONG_PER_MINUTE / 60, WRONG_PER_MINUTE);
  /** By address, in the order in which they were asked. */
  readonly #questions = new Map<string, Set<Question>>();
  /** By address: of the look when one more is left. */
  readonly #timers = new Map<string, NodeJS.Timeout>();

  /**
   * A verdict that is no promise is counted before this returns.
   * @param ask is not called when none is left
   * @throws HttpProblem (429) when none is left
   */
  async judge(address: string, ask: () => Verdict | Promise<Verdict>): Promise<Verdict> {
    assertLeft(this.#left.wait(address));
    const answer = ask();
    if (!(answer instanceof Promise) && isRefusal(answer)) {
      if (answer.isWrong) assertLeft(this.#count(address));
      return answer;
    }
    if (!(answer instanceof Promise) && !this.#questions.has(address)) return answer;
    const question: Question = { isRight: false, letIn: deferred(), refused: deferred() };
    this.#of(address).add(question);
    try {
      return await this.#inTurn(address, question, answer);
    } finally {
      if (this.#questions.get(address)?.delete(question)) this.#letIn(address);
    }
  }

  async #inTurn(address: string, question: Question, answer: Verdict | Promise<Verdict>): Promise<Verdict> {
    const { letIn, refused } = question;
    const timer = setTimeout(() => this.#count(address, question), PATIENCE_MS).unref();
    const verdict = await Promise.race([answer, refused.promise]).finally(() => clearTimeout(timer));
    // Counted already, since it took too long.
    if (!this.#questions.get(address)?.has(question)) assertLeft(this.#left.wait(address));
    else if (isRefusal(verdict)) {
      if (verdict.isWrong) assertLeft(this.#count(address, question));
    } else {
      question.isRight = true;
      this.#letIn(address);
      await Promise.race([letIn.promise, refused.promise]);
    }
    return verdict;
  }

  /**
   * One less is left. After the last all are refused at the same moment, right or wrong, answered or not: by when each
   * was, it could be seen which of them would have been let in.
   * @returns the seconds until there is one, when none was left
   */
  #count(address: string, question?: Question): number {
    const questions = this.#questions.get(address);
    if (question) questions?.delete(question);
    const wait = this.#left.take(address);
    const next = this.#left.wait(address);
    if (next === 0) {
      this.#letIn(address);
      return wait;
    }
    this.#questions.delete(address);
    for (const { refused } of questions ?? []) refused.reject(tooMany(next));
    return wait;
  }

  #letIn(address: string): void {
    const questions = this.#questions.get(address);
    if (!questions) return;
    const left = this.#left.left(address);
    let open = 0;
    for (const question of questions) {
      if (open >= left) {
        this.#letInLater(address);
        return;
      }
      if (question.isRight) {
        questions.delete(question);
        question.letIn.resolve();
      } else open += 1;
    }
    if (questions.size === 0) this.#questions.delete(address);
  }

  /** Time gives back what wrong ones have taken. */
  #letInLater(address: string): void {
    const seconds = this.#left.untilNext(address);
    if (seconds === 0 || this.#timers.has(address)) return;
    const look = () => {
      this.#timers.delete(address);
      this.#letIn(address);
    };
    this.#timers.set(address, setTimeout(look, Math.ceil(seconds * 1000)).unref());
  }

  #of(address: string): Set<Question> {
    const known = this.#questions.get(address) ?? new Set();
    this.#questions.set(address, known);
    return known;
  }
}

const tooMany = (retryAfter: number): HttpProblem =>
  new HttpProblem(429, 'too many wrong credentials from this address', { retryAfter });

function assertLeft(wait: number): void {
  if (wait > 0) throw tooMany(wait);
}
