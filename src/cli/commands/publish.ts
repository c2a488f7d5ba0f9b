import type { Duration } from '../../util/duration.ts';
import { durationMs } from '../../util/duration.ts';
import type { CommandContext } from '../context.ts';
import { readData } from '../data.ts';
import { withService } from '../with-service.ts';

export interface PublishCommandOptions {
  readonly data: string;
  readonly key?: string;
  readonly timeout?: Duration;
}

/** Publishes an event at once, without the outbox; fails unless a queue has it. */
export async function publish(
  context: CommandContext,
  aggregate: string,
  eventType: string,
  { data, key, timeout }: PublishCommandOptions,
): Promise<0> {
  const payload = await readData(data);
  const options = timeout === undefined ? {} : { timeoutMs: durationMs(timeout, 'timeout', 's') };
  const event = { aggregate, eventType, payload, key };
  const { eventId } = await withService(context, (own) => own.publishEventNow(event, options));
  context.print({ aggregate, eventType, eventId }, `published ${aggregate} ${eventType} as ${eventId}`);
  return 0;
}
