import type { Assembly } from '../assembly/assembly.ts';
import { BrokerSubscriber } from '../broker/subscriber.ts';
import { group } from '../lifecycle/group.ts';
import type { Service } from '../lifecycle/service.ts';
import type { Delivery } from '../message/subscriber.ts';
import { type DemoNames, SCENARIO } from './scenario.ts';
import type { Stage } from './stage.ts';

/**
 * Publishes some messages once more under the same message id: what the broker gets when a relay dies after the confirm
 * of a message and before the delete of its row.
 */
export function gremlin(assembly: Assembly, names: DemoNames, stage: Stage): Service {
  const connection = assembly.connection('gremlin');
  const publishing = assembly.connection('gremlin publish');
  const publisher = assembly.publisher(publishing);
  const seen = new Set<string>();
  const copy = async (delivery: Delivery): Promise<void> => {
    const { exchange, routingKey, body, properties } = delivery;
    const id = properties.messageId ?? '';
    const isFirst = !seen.has(id);
    seen.add(id);
    if (isFirst && seen.size % SCENARIO.copyEvery === 0) {
      await publisher.publish({ exchange, routingKey, body, properties });
      stage.happened('copied', `message ${id.slice(-6)} is delivered twice`);
    }
    delivery.ack();
  };
  const subscription = new BrokerSubscriber({ connection, logger: assembly.logger }).subscribe({
    queue: names.gremlinQueue,
    prefetch: 1,
    onDelivery: (delivery) => {
      copy(delivery).catch((error: unknown) =>
        assembly.logger.error({ error }, 'the gremlin could not copy a message'),
      );
    },
  });
  return group('gremlin', [publishing, publisher, connection, subscription]);
}
