import { validate } from 'uuid';
import type { Reply } from '../message/replies.ts';
import { ReleasingMap } from '../util/releasing-map.ts';
import { MAX_TIMER_MS } from '../util/sleep.ts';
import { decodeCallResponse, type WireCallResponse } from '../wire/call.ts';
import { decodeJson, type JsonLimits } from '../wire/json.ts';

/** How a call ended. */
export type CallOutcome =
  | { readonly kind: 'answered'; readonly response: WireCallResponse }
  | { readonly kind: 'unreadable'; readonly error: unknown }
  | { readonly kind: 'not-sent'; readonly error: unknown }
  | { readonly kind: 'aborted'; readonly reason: unknown }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'lost' };

/** How an answer came: to this instance alone, or to all instances of the service. */
export type ReplyWay = 'own' | 'shared';

/** Replies that nobody waited for, by why; and how calls ended. */
export interface CallStats {
  readonly pending: number;
  /** Every call that ended, by its outcome; `failed` ones were answered with an error. */
  readonly answered: number;
  readonly failed: number;
  readonly unreadable: number;
  readonly notSent: number;
  readonly aborted: number;
  readonly timedOut: number;
  readonly lost: number;
  /** Answers to calls of this instance that had ended before. */
  readonly lateReplies: number;
  /** Answers that belong to no call of this instance, nor, where they come to all, of another of its service. */
  readonly foreignReplies: number;
}

interface Waiting {
  readonly correlationId: string;
  readonly settle: (outcome: CallOutcome) => void;
  /** From the broker's confirm on. */
  timer: NodeJS.Timeout | undefined;
  isSent: boolean;
}

/**
 * The calls that wait for an answer: each enters before its message is published and leaves in `settle`, once, by its
 * answer, its deadline, an abort, a failed publish, or the loss of the way back.
 */
export class PendingCalls {
  readonly #waiting = new ReleasingMap<string, Waiting>();
  readonly #prefix: string;
  readonly #limits: JsonLimits;
  readonly #counts = {
    answered: 0,
    failed: 0,
    unreadable: 0,
    notSent: 0,
    aborted: 0,
    timedOut: 0,
    lost: 0,
    lateReplies: 0,
    foreignReplies: 0,
  };
  #count = 0;

  /** @param instance a UUID; ids of this instance's calls begin with it: it tells a late answer from another's */
  constructor(instance: string, limits: JsonLimits) {
    this.#prefix = `${instance}.`;
    this.#limits = limits;
  }

  get stats(): CallStats {
    return { pending: this.#waiting.size, ...this.#counts };
  }

  nextId(): string {
    this.#count += 1;
    return this.#prefix + this.#count.toString(36);
  }

  /** @param correlationId by which an answer is known whose body cannot be read */
  enter(callId: string, correlationId: string): Promise<CallOutcome> {
    return new Promise((settle) => {
      this.#waiting.set(callId, { correlationId, settle, timer: undefined, isSent: false });
    });
  }

  /** The broker has it: from now on its answer or its deadline end it. No effect when it has ended. */
  sent(callId: string, leftMs: number): void {
    const waiting = this.#waiting.get(callId);
    if (!waiting) return;
    waiting.isSent = true;
    const ms = Math.min(Math.max(1, Math.ceil(leftMs)), MAX_TIMER_MS);
    waiting.timer = setTimeout(() => this.settle(callId, { kind: 'timeout' }), ms);
  }

  /** The first outcome counts. */
  settle(callId: string, outcome: CallOutcome): void {
    const waiting = this.#waiting.get(callId);
    if (!waiting) return;
    this.#waiting.delete(callId);
    clearTimeout(waiting.timer);
    this.#counts[counterOf(outcome)] += 1;
    waiting.settle(outcome);
  }

  /** What the broker has gets no answer any more; what it has not confirmed is sent again, with a new way back. */
  loseSent(): void {
    for (const [callId, { isSent }] of this.#waiting.entries()) if (isSent) this.settle(callId, { kind: 'lost' });
  }

  /** Never throws. */
  reply({ body, properties }: Reply, way: ReplyWay): void {
    try {
      const response = decodeCallResponse(decodeJson(body, this.#limits));
      const callId = String(response.id);
      if (this.#waiting.has(callId)) this.settle(callId, { kind: 'answered', response });
      else this.#nobodys(callId, way);
    } catch (error) {
      const callId = this.#unreadable(properties.correlationId, way);
      if (callId === undefined) this.#nobodys(properties.correlationId ?? '', way);
      else this.settle(callId, { kind: 'unreadable', error });
    }
  }

  #nobodys(id: string, way: ReplyWay): void {
    if (id.startsWith(this.#prefix)) this.#counts.lateReplies += 1;
    else if (way === 'own' || !isCallId(id)) this.#counts.foreignReplies += 1;
  }

  /**
   * Its body does not say whose it is: its correlation id does, unless several calls have that. Calls of other instances
   * may, too: of what comes to all only an id of our own is ours.
   */
  #unreadable(correlationId: string | undefined, way: ReplyWay): string | undefined {
    if (way === 'shared') return this.#waiting.has(correlationId ?? '') ? correlationId : undefined;
    let found: string | undefined;
    for (const [callId, waiting] of this.#waiting.entries()) {
      if (waiting.correlationId !== correlationId) continue;
      if (found !== undefined) return undefined;
      found = callId;
    }
    return found;
  }
}

/** Whether some instance has made it: see `nextId`. */
const isCallId = (id: string): boolean => validate(id.slice(0, id.lastIndexOf('.')));

function counterOf(outcome: CallOutcome): Exclude<keyof CallStats, 'pending' | 'lateReplies' | 'foreignReplies'> {
  switch (outcome.kind) {
    case 'answered':
      return outcome.response.error ? 'failed' : 'answered';
    case 'timeout':
      return 'timedOut';
    case 'not-sent':
      return 'notSent';
    default:
      return outcome.kind;
  }
}
