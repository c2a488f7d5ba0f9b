import type { BrokerConnection } from '../broker/connection.ts';
import { QueueAdmin } from '../broker/queue-admin.ts';
import type { CallStats } from '../call/pending-calls.ts';
import type { ConsumerStats } from '../consumer/stats.ts';
import type { SqlExecutor } from '../database/executor.ts';
import type { Service } from '../lifecycle/service.ts';
import { deadQueueName, retryQueueName, type TopologySpec } from '../message/topology.ts';
import { readBacklog } from '../outbox/backlog.ts';
import type { Relay } from '../outbox/relay.ts';
import { mayReadWaiting, oldestWaitingTaskMs } from '../task/sql/waiting.ts';
import type { WorkerStats } from '../task/worker-stats.ts';
import type { Labels, Reading, Source } from '../telemetry/metrics.ts';
import type { Assembly } from './assembly.ts';

/** What the parts of a service count, as metrics. */

type ReadingName = Reading['name'];

const reading = (name: ReadingName, value: number, labels: Labels = {}): Reading => ({ name, labels, value });

/** One counter for several outcomes. */
const outcomes = (name: ReadingName, counts: Readonly<Record<string, number>>, labels: Labels = {}): Reading[] =>
  Object.entries(counts).map(([outcome, value]) => reading(name, value, { ...labels, 'svc_comm.outcome': outcome }));

export function consumerReadings(queue: string, stats: ConsumerStats): Reading[] {
  const { received, handled, failed, duplicates, expired, unhandled, retried, released, lost } = stats;
  const ofQueue = { 'messaging.consumer.group.name': queue };
  const counts = {
    handled,
    failed,
    duplicate: duplicates,
    expired,
    unhandled,
    retry: retried,
    'dead-letter': Object.values(stats.deadLettered).reduce((sum, count) => sum + count),
    release: released,
    lost,
  };
  return [
    reading('svc_comm.consumer.received', received, ofQueue),
    ...outcomes('svc_comm.consumer.messages', counts, ofQueue),
    ...Object.entries(stats.deadLettered).map(([reason, value]) =>
      reading('svc_comm.consumer.dead_letters', value, { ...ofQueue, 'svc_comm.dead_letter.reason': reason }),
    ),
    reading('svc_comm.consumer.in_flight', stats.inFlight, ofQueue),
    reading('svc_comm.consumer.reruns', stats.rerunInPlace, ofQueue),
    reading('svc_comm.consumer.unanswered', stats.unanswered, ofQueue),
  ];
}

/** How many messages wait in the queue and in those that belong to it. Tells nothing while the broker cannot be asked. */
export function queueSource(
  { queue, retryDelaysMs, hasDeadLetters = true }: TopologySpec,
  connection: BrokerConnection,
): Source {
  const admin = new QueueAdmin(connection);
  const ask = async (name: string, kind: string): Promise<Reading[]> => {
    const status = await admin.status(name);
    const labels = { 'svc_comm.queue': name, 'svc_comm.queue.kind': kind };
    return status ? [reading('svc_comm.queue.messages', status.ready, labels)] : [];
  };
  return async () => {
    if (!connection.current) return [];
    const found = await Promise.all([
      ask(queue.name, 'main'),
      ...retryDelaysMs.map((delayMs) => ask(retryQueueName(queue.name, delayMs), 'retry')),
      ...(hasDeadLetters ? [ask(deadQueueName(queue.name), 'dead')] : []),
    ]);
    return found.flat();
  };
}

export function relayReadings(relay: Relay): Reading[] {
  const { published, expired, unroutable, refused, unknown, fencedOut, promoted, reconnects } = relay.stats;
  const counts = { published, expired, unroutable, refused, unknown, 'fenced-out': fencedOut };
  return [
    ...outcomes('svc_comm.relay.messages', counts),
    reading('svc_comm.relay.promoted', promoted),
    reading('svc_comm.relay.reconnects', reconnects),
    reading('svc_comm.relay.held', relay.held),
    reading('svc_comm.relay.partitions', relay.partitions.length),
  ];
}

/**
 * What waits in the outbox. Tells nothing while the database cannot be asked, nor for a relay that was stopped: a service
 * that was closed opens no connections.
 */
export function outboxSource(assembly: Assembly, relay: readonly Pick<Service, 'state'>[]): Source {
  const { schema } = assembly.settings;
  return async () => {
    if (relay.every(({ state }) => state === 'idle')) return [];
    const [backlog, ofTasks] = await assembly.withConnection('backlog', async (connection) => [
      await readBacklog(connection, schema),
      // Where no worker runs nobody else tells of them. A relay needs no rights on the tables of tasks.
      (await mayReadWaiting(connection, schema)) ? await waitingReadings(connection, schema).catch(() => []) : [],
    ]);
    return [
      ...ofTasks,
      reading('svc_comm.outbox.rows', backlog.rows),
      reading('svc_comm.outbox.oldest_age', backlog.oldestMs / 1000),
      reading('svc_comm.outbox.failing', backlog.failing),
      reading('svc_comm.outbox.future', backlog.future, { 'svc_comm.due': 'false' }),
      reading('svc_comm.outbox.future', backlog.futureDue, { 'svc_comm.due': 'true' }),
      reading('svc_comm.outbox.relays', backlog.relays),
    ];
  };
}

/** How long tasks wait. Tells nothing while the database cannot be asked, nor for a worker that was stopped. */
export function waitingSource(assembly: Assembly, worker: Pick<Service, 'state'>): Source {
  const { schema } = assembly.settings;
  return async () => {
    if (worker.state === 'idle') return [];
    return assembly.withConnection('backlog', (connection) => waitingReadings(connection, schema));
  };
}

const waitingReadings = async (db: SqlExecutor, schema: string): Promise<Reading[]> => [
  reading('svc_comm.task.oldest_age', (await oldestWaitingTaskMs(db, schema)) / 1000),
];

export function callReadings({ pending, lateReplies, foreignReplies, ...ended }: CallStats): Reading[] {
  const { answered, failed, unreadable, notSent, aborted, timedOut, lost } = ended;
  const counts = { answered, failed, unreadable, 'not-sent': notSent, aborted, 'timed-out': timedOut, lost };
  return [...outcomes('svc_comm.calls', counts), reading('svc_comm.calls.pending', pending)];
}

export function workerReadings({ running, ...counts }: Readonly<WorkerStats>): Reading[] {
  return [...outcomes('svc_comm.worker.tasks', { ...counts }), reading('svc_comm.worker.running', running)];
}
