import type { Consumer } from './consumer.ts';
import type { Queue } from './queue.ts';

/**
 * Lets the parked consumers of a channel whose prefetch they share take more. The queue whose consumer has waited
 * longest comes first, and within a queue the consumer that has: none is left behind while others get what they ack.
 * @param hasRoom whether the shared prefetch takes one more; the others stay parked for the next turn
 */
export function relieveByTurns(consumers: Iterable<Consumer>, hasRoom: () => boolean): void {
  const byQueue = new Map<Queue, Consumer[]>();
  const parked = [...consumers].filter(({ place }) => place === 'parked');
  for (const consumer of parked.sort((a, b) => a.parking - b.parking)) {
    const { queue } = consumer.options;
    const others = byQueue.get(queue);
    if (others) others.push(consumer);
    else byQueue.set(queue, [consumer]);
  }
  for (const [queue, waiting] of byQueue) {
    if (!hasRoom()) return;
    for (const consumer of waiting) queue.rota.unpark(consumer);
    queue.dispatch();
  }
}
