import { InvalidArgumentError } from '../errors.ts';
import type { Incoming, Middleware } from '../message/handler.ts';
import type { MessageRouter } from '../router/router.ts';

/** A run of a handler that returned. */
export interface HandledMessage {
  /** As `svc-comm explain` names it. */
  readonly handler: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly body: unknown;
  /** 1 for the first run. */
  readonly attempt: number;
}

/** What a failure asked for by a test is thrown as. */
export class PlannedFailure extends Error {
  constructor(handler: string) {
    super(`${handler} fails because the test asked for it`);
    this.name = 'PlannedFailure';
  }
}

/** What the next runs of a handler throw. */
interface Plan {
  left: number;
  readonly error: unknown;
}

/** Sees the runs of a router's handlers, and makes some of them fail. */
export class HandlerProbe {
  readonly handled: HandledMessage[] = [];
  readonly #router: MessageRouter;
  readonly #plans = new Map<string, Plan[]>();

  constructor(router: MessageRouter) {
    this.#router = router;
  }

  /** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for a handler that is not registered, or no number of runs */
  failNext(handler: string, times: number, error: unknown = new PlannedFailure(handler)): void {
    const names = [...new Set(this.#router.routes.map((route) => route.name))];
    if (!names.includes(handler)) {
      throw new InvalidArgumentError('handler', `one of ${names.join(', ') || 'the registered handlers'}`, handler);
    }
    if (times !== Number.POSITIVE_INFINITY && !(Number.isSafeInteger(times) && times >= 1)) {
      throw new InvalidArgumentError('times', 'a whole number from 1, or Infinity', String(times));
    }
    this.#plans.set(handler, [...(this.#plans.get(handler) ?? []), { left: times, error }]);
  }

  readonly middleware: Middleware = (next) => async (incoming, context) => {
    const handler = this.#nameOf(incoming);
    this.#fail(handler);
    const verdict = await next(incoming, context);
    const { exchange, routingKey, body, attempt } = incoming;
    if (verdict.kind === 'ack') this.handled.push({ handler, exchange, routingKey, body, attempt });
    return verdict;
  };

  #fail(handler: string): void {
    const plans = this.#plans.get(handler);
    const [plan] = plans ?? [];
    if (!plan) return;
    plan.left -= 1;
    if (plan.left <= 0) plans?.shift();
    throw plan.error;
  }

  #nameOf({ exchange, routingKey }: Incoming): string {
    return this.#router.resolve(exchange, routingKey)?.name ?? '';
  }
}

const current = new WeakMap<MessageRouter, { probe: HandlerProbe | undefined }>();

/**
 * Puts a probe around a router's handlers. A router keeps its middleware for good, so it gets one layer once, which asks
 * for the probe of the test that is under way.
 * @returns takes it off again
 */
export function attachProbe(router: MessageRouter, probe: HandlerProbe): () => void {
  let slot = current.get(router);
  if (!slot) {
    const made: { probe: HandlerProbe | undefined } = { probe: undefined };
    router.use((next) => (incoming, context) => (made.probe ? made.probe.middleware(next) : next)(incoming, context));
    current.set(router, made);
    slot = made;
  }
  const used = slot;
  used.probe = probe;
  return () => {
    if (used.probe === probe) used.probe = undefined;
  };
}
