export interface Metric {
  /** `counter`: only grows; `gauge`: what it is now; `histogram`: how long each took. */
  readonly kind: 'counter' | 'gauge' | 'histogram';
  /** As UCUM writes it; what stands in braces says what is counted. */
  readonly unit: 's' | `{${string}}`;
  readonly attributes: readonly string[];
  /** What is told when several parts of a process tell the same: what a server counts is not to be added up. @default 'sum' */
  readonly several?: 'sum' | 'max' | 'min';
  readonly description: string;
}

/**
 * Every metric, by its name in OpenTelemetry. Those of `messaging.` are of its conventions for messaging, which are not
 * stable yet. docs/observability.md has the table; a test keeps the two equal.
 */
export const METRICS = Object.freeze({
  'messaging.process.duration': {
    kind: 'histogram',
    unit: 's',
    attributes: ['messaging.consumer.group.name', 'svc_comm.handler', 'svc_comm.outcome', 'error.type'],
    description: 'Runs of handlers, with inbox and commit',
  },
  'messaging.client.operation.duration': {
    kind: 'histogram',
    unit: 's',
    attributes: ['messaging.operation.name', 'messaging.destination.name', 'error.type'],
    description: 'What was sent at once, until the broker confirmed it; calls, until their answer',
  },
  'svc_comm.task.duration': {
    kind: 'histogram',
    unit: 's',
    attributes: ['svc_comm.task.name', 'svc_comm.task.state'],
    description: 'Runs of tasks, without their wait',
  },
  'svc_comm.task.oldest_age': {
    kind: 'gauge',
    unit: 's',
    attributes: [],
    several: 'max',
    description:
      'How long the task that waits longest has been due, by the clock of the database; each worker and each relay tells it of all',
  },
  'svc_comm.ready': {
    kind: 'gauge',
    unit: '{role}',
    attributes: ['svc_comm.role'],
    several: 'min',
    description: '1 when the role does its work, 0 while it waits for a server or is on its way',
  },
  'svc_comm.consumer.received': {
    kind: 'counter',
    unit: '{message}',
    attributes: ['messaging.consumer.group.name'],
    description: 'Deliveries that came',
  },
  'svc_comm.consumer.messages': {
    kind: 'counter',
    unit: '{message}',
    attributes: ['messaging.consumer.group.name', 'svc_comm.outcome'],
    description: 'Deliveries that have ended, by what became of them: settled, or `lost` with their channel',
  },
  'svc_comm.consumer.dead_letters': {
    kind: 'counter',
    unit: '{message}',
    attributes: ['messaging.consumer.group.name', 'svc_comm.dead_letter.reason'],
    description: 'Messages given up, by why',
  },
  'svc_comm.consumer.in_flight': {
    kind: 'gauge',
    unit: '{message}',
    attributes: ['messaging.consumer.group.name'],
    description: 'Delivered and not settled yet',
  },
  'svc_comm.consumer.reruns': {
    kind: 'counter',
    unit: '{run}',
    attributes: ['messaging.consumer.group.name'],
    description: 'Runs again in place, their key waiting',
  },
  'svc_comm.consumer.unanswered': {
    kind: 'counter',
    unit: '{call}',
    attributes: ['messaging.consumer.group.name'],
    description: 'Answers to calls that reached nobody',
  },
  'svc_comm.queue.messages': {
    kind: 'gauge',
    unit: '{message}',
    attributes: ['svc_comm.queue', 'svc_comm.queue.kind'],
    several: 'max',
    description: 'Messages that wait in the queue (`main`), for another attempt (`retry`), or were given up (`dead`)',
  },
  'svc_comm.relay.messages': {
    kind: 'counter',
    unit: '{message}',
    attributes: ['svc_comm.outcome'],
    description: 'Rows of the outbox, by what became of them at this relay',
  },
  'svc_comm.relay.promoted': {
    kind: 'counter',
    unit: '{message}',
    attributes: [],
    description: 'Future events whose time came',
  },
  'svc_comm.relay.reconnects': {
    kind: 'counter',
    unit: '{connection}',
    attributes: [],
    description: 'Connections of relays to the database that were lost',
  },
  'svc_comm.relay.held': {
    kind: 'gauge',
    unit: '{row}',
    attributes: [],
    description: 'Rows that this relay has in memory',
  },
  'svc_comm.relay.partitions': {
    kind: 'gauge',
    unit: '{partition}',
    attributes: [],
    description: 'Partitions of the outbox that this relay holds',
  },
  'svc_comm.outbox.rows': {
    kind: 'gauge',
    unit: '{row}',
    attributes: [],
    several: 'max',
    description: 'Messages that wait in the outbox; each relay tells all of them',
  },
  'svc_comm.outbox.oldest_age': {
    kind: 'gauge',
    unit: 's',
    attributes: [],
    several: 'max',
    description: 'How long the oldest of them waits, or a future event since it was due, by the clock of the database',
  },
  'svc_comm.outbox.failing': {
    kind: 'gauge',
    unit: '{row}',
    attributes: [],
    several: 'max',
    description: 'Those that the broker has refused',
  },
  'svc_comm.outbox.future': {
    kind: 'gauge',
    unit: '{row}',
    attributes: ['svc_comm.due'],
    several: 'max',
    description: 'Future events that wait for their time (`false`), or for a relay (`true`)',
  },
  'svc_comm.outbox.relays': {
    kind: 'gauge',
    unit: '{relay}',
    attributes: [],
    several: 'max',
    description: 'Relays that live',
  },
  'svc_comm.calls': {
    kind: 'counter',
    unit: '{call}',
    attributes: ['svc_comm.outcome'],
    description: 'Calls of `call`, by how they ended',
  },
  'svc_comm.calls.pending': {
    kind: 'gauge',
    unit: '{call}',
    attributes: [],
    description: 'Calls that wait for their answer',
  },
  'svc_comm.worker.tasks': {
    kind: 'counter',
    unit: '{task}',
    attributes: ['svc_comm.outcome'],
    description: 'Tasks of this worker, by what became of them',
  },
  'svc_comm.worker.running': {
    kind: 'gauge',
    unit: '{task}',
    attributes: [],
    description: 'Tasks that run now',
  },
} as const satisfies Readonly<Record<string, Metric>>);

export type MetricName = keyof typeof METRICS;
export type DurationName = {
  [Name in MetricName]: (typeof METRICS)[Name]['kind'] extends 'histogram' ? Name : never;
}[MetricName];

/** Upper bounds in seconds, those that the conventions advise for durations of messaging, and longer ones for tasks. */
export const BUCKETS = Object.freeze([
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300,
]);

/** Values of a metric's attributes. */
export type Labels = Readonly<Record<string, string>>;

/** What a metric is now. */
export interface Reading {
  readonly name: Exclude<MetricName, DurationName>;
  readonly labels: Labels;
  readonly value: number;
}

/** Tells what it knows when it is asked. What throws, or rejects, tells nothing this time. */
export type Source = () => readonly Reading[] | Promise<readonly Reading[]>;

/** The name that Prometheus has for it, by OpenTelemetry's rules for that (compatibility/prometheus_and_openmetrics). */
export function prometheusName(name: MetricName): string {
  const { kind, unit } = METRICS[name];
  const base = name.replaceAll('.', '_');
  const suffix = unit === 's' ? '_seconds' : '';
  return `${base}${suffix}${kind === 'counter' ? '_total' : ''}`;
}

/** The same for an attribute. */
export const prometheusLabel = (attribute: string): string => attribute.replaceAll('.', '_');
