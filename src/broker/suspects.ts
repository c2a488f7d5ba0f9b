import { brokerText, REPLY, replyCode } from './amqp-error.ts';
import type { PublishEntry } from './publish-entry.ts';

const EXCHANGE = /exchange '(.*)' in vhost '/s;

/** Channel errors that one message causes. After any other, what was unconfirmed is unknown. */
const CHARGEABLE: ReadonlySet<number | undefined> = new Set(Object.values(REPLY));

export function isChargeable(error: unknown): boolean {
  return CHARGEABLE.has(replyCode(error));
}

/** The exchange that a channel error names, if it names one. */
export function exchangeInError(error: unknown): string | undefined {
  return EXCHANGE.exec(brokerText(error))?.[1];
}

/**
 * Finds which of the unconfirmed messages has closed the channel. The broker says only why; one of them it was, since
 * it handles a channel's publishes in order and confirms none that it refuses. Where several come into question, they
 * are marked: each is sent again alone, until one of them does it once more.
 * @param canMend whether a missing exchange is looked at again, and may be made: its messages get a second chance
 * @returns the guilty one, when it is proven
 */
export function findGuilty(
  unconfirmed: readonly PublishEntry[],
  error: unknown,
  canMend: boolean,
): PublishEntry | undefined {
  const exchange = exchangeInError(error);
  const named = unconfirmed.filter((entry) => entry.message.exchange === exchange);
  const suspects = named.length > 0 ? named : unconfirmed;
  const [first] = suspects;
  if (canMend && replyCode(error) === REPLY.notFound && first?.isRechecked === false) {
    for (const entry of suspects) entry.isRechecked = true;
    return undefined;
  }
  if (suspects.length === 1) return first;
  for (const entry of suspects) entry.isSuspect = true;
  return undefined;
}
