import { KeyParkedError } from '../../errors.ts';
import type { Logger } from '../../lifecycle/logger.ts';
import { deriveContext } from '../../message/context.ts';
import type { Middleware, Verdict } from '../../message/handler.ts';
import type { Inbox } from '../../message/inbox.ts';
import { inboxKeyOf } from '../../message/inbox-key.ts';

export interface InboxOptions {
  readonly inbox: Pick<Inbox, 'handle'>;
  /** Named in warnings about transactions that hold connections. */
  readonly handler: string;
  /** Whether an `eventId` in the body says which message it is, where it has no message id. */
  readonly hasEventId: boolean;
  /** How long the work may take, in ms. A statement that takes longer is ended: ROLLBACK would wait for its end. */
  readonly timeoutMs: number;
  readonly logger: Logger;
  /** Around messages that cannot be told from others, which have neither inbox row nor transaction. @default nothing */
  readonly without?: Middleware | undefined;
}

/**
 * Runs what is inside in a transaction that also holds the inbox row: its effect happens once, whatever is delivered
 * again. It commits when the layers inside answer `ack`; a throw or any other verdict rolls back. If the process dies
 * after the commit and before the ack, the copy finds the row and is acked as a duplicate.
 */
export function inbox({ inbox: store, handler, hasEventId, timeoutMs, logger, without }: InboxOptions): Middleware {
  let hasWarned = false;
  const warnOnce = (exchange: string, routingKey: string) => {
    if (hasWarned) return;
    hasWarned = true;
    logger.warn(
      { handler, exchange, routingKey },
      hasEventId
        ? 'message has neither message_id nor eventId: handled without inbox and transaction, its effect may happen twice'
        : 'message has no message_id: handled without inbox and transaction, its effect may happen twice',
    );
  };
  return (next) => {
    const alone = without?.(next) ?? next;
    return async function inboxHandler(incoming, context) {
      const key = inboxKeyOf(incoming, hasEventId);
      if (!key) {
        const verdict = await alone(incoming, context);
        warnOnce(incoming.exchange, incoming.routingKey);
        return verdict;
      }
      const { key: orderKey, isRedriven } = incoming;
      let refused: Verdict | undefined;
      let runs = 0;
      try {
        // The signal is made when it is asked for.
        const request = {
          key,
          orderKey,
          isRedriven,
          handler,
          timeoutMs,
          get signal() {
            return context.signal;
          },
        };
        const result = await store.handle(request, async (transaction) => {
          if (runs > 0) incoming.renewBody?.();
          runs += 1;
          refused = undefined;
          const verdict = await next(incoming, deriveContext(context, { transaction }));
          if (verdict.kind === 'ack') return verdict;
          refused = verdict;
          throw verdict.error;
        });
        if (result.kind === 'handled') return result.value;
        if (result.kind === 'parked') {
          return { kind: 'dead', reason: 'parked', error: new KeyParkedError(incoming.key ?? '') };
        }
        return { kind: 'ack', outcome: 'duplicate' };
      } catch (error) {
        if (refused) return refused;
        throw error;
      }
    };
  };
}
