import { expect } from 'vitest';
import type { KnexTransaction } from '../../src/database/transactions.ts';
import { rawConsumer } from '../../src/router/raw-consumer.ts';
import type { Settings } from '../../src/settings/define.ts';
import { until } from './consumer-kit.ts';
import type { ServiceKit } from './service-kit.ts';

export interface EffectConsumerOptions {
  readonly name: string;
  readonly group: number;
  readonly settings?: Settings;
  /** Writes with the handle of another library. @default with knex */
  readonly insert?: (transaction: unknown, id: string) => Promise<void>;
  /** Behind the insert, in the transaction. @default nothing */
  readonly work?: (id: string) => Promise<void>;
}

/** A consumer that writes the id of each message into the table `effect`. Not started. */
export function effectConsumer(kit: ServiceKit, { name, group, settings = {}, insert, work }: EffectConsumerOptions) {
  const service = kit.service(name, settings);
  const exchange = kit.exchangeName(name);
  const attempts: number[] = [];
  service.messageRouter.consumer(
    exchange,
    'made',
  )(
    rawConsumer(
      async (_routingKey, body, { transaction, attempt }) => {
        attempts.push(attempt);
        const { id } = body as { id: string };
        if (insert) await insert(transaction, id);
        else await (transaction as KnexTransaction).raw(`INSERT INTO ${kit.table('effect')} VALUES (?)`, [id]);
        await work?.(id);
      },
      { group },
    ),
  );
  const send = (id: string) =>
    kit.channel.publish(exchange, 'made', Buffer.from(JSON.stringify({ id })), { messageId: id });
  return { consumer: service.consumer(), send, attempts };
}

/** One that has begun. */
export interface Outage {
  /** Whether the consumer's log says so. */
  isTold(): boolean;
  end(): Promise<unknown>;
}

/** What comes to a consumer that runs during an outage waits, no attempt is counted, and all of it has its effect after it. */
export async function expectToWait(
  kit: ServiceKit,
  { consumer, send, attempts }: ReturnType<typeof effectConsumer>,
  { name, outage }: { readonly name: string; readonly outage: Outage },
): Promise<void> {
  const ids = Array.from({ length: 5 }, (_, n) => `${name}-${n}`);
  for (const id of ids) send(id);
  await until(() => outage.isTold());
  expect(consumer.stats).toMatchObject({ handled: 0, retried: 0, failed: 0 });
  await outage.end();
  await until(async () => (await kit.count('effect', `id LIKE '${name}-%'`)) === ids.length);
  await consumer.stop();
  expect(consumer.stats).toMatchObject({ handled: ids.length, retried: 0, failed: 0 });
  expect(new Set(attempts)).toEqual(new Set([1]));
}
