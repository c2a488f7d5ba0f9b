import type { Consumed, ProcessBrief, Published, ServiceRole, TaskBrief } from './description.ts';
import type { PresentInstance } from './roster.ts';

export interface InstanceView {
  readonly instance: string;
  readonly version: string;
  readonly library: string;
  readonly host: string;
  readonly pid: number;
  /** ISO 8601; '' when it has not said. */
  readonly since: string;
  readonly roles: readonly ServiceRole[];
  /** Roles that do not work at the moment. */
  readonly failing: readonly ServiceRole[];
  /** False: it is there, and has not told yet what it is. */
  readonly isDescribed: boolean;
  /** What it left out because it was too long. */
  readonly omitted: readonly string[];
}

/** A service: all instances of one name, and what they take and give together. */
export interface ServiceView {
  readonly name: string;
  /** All roles of all instances work. */
  readonly isHealthy: boolean;
  /** More than one while a new version is rolled out. */
  readonly versions: readonly string[];
  readonly roles: readonly ServiceRole[];
  readonly queues: readonly string[];
  readonly consumes: readonly Consumed[];
  readonly publishes: readonly Published[];
  readonly tasks: readonly TaskBrief[];
  readonly processes: readonly ProcessBrief[];
  /** The oldest first. */
  readonly instances: readonly InstanceView[];
}

/** @param instances of one name; where they tell of the same differently, the youngest counts */
export function serviceView(name: string, instances: readonly PresentInstance[]): ServiceView {
  const described = instances.flatMap(({ description }) => (description ? [description] : []));
  return {
    name,
    isHealthy: instances.every(({ failing }) => failing.length === 0),
    versions: unique(described.map(({ version }) => version).filter((version) => version !== '')),
    roles: unique(described.flatMap(({ roles }) => roles)),
    queues: unique(described.map(({ queue }) => queue).filter((queue) => queue !== '')),
    consumes: latest(
      described.flatMap(({ consumes }) => consumes),
      ({ kind, exchange, routingKey, level }) => [kind, exchange, routingKey, level],
    ),
    publishes: publishedBy(described.flatMap(({ publishes }) => publishes)),
    tasks: latest(
      described.flatMap(({ tasks }) => tasks),
      (task) => [task.name],
    ),
    processes: latest(
      described.flatMap(({ processes }) => processes),
      ({ id }) => [id],
    ),
    instances: instances.map(instanceView),
  };
}

function instanceView({ instance, failing, description }: PresentInstance): InstanceView {
  const { version = '', library = '', host = '', pid = 0, since = '', roles = [], omitted = [] } = description ?? {};
  const isDescribed = description !== undefined;
  return { instance, version, library, host, pid, since, roles, failing, isDescribed, omitted };
}

/** That one instance has sent it is so for the service. */
function publishedBy(published: readonly Published[]): Published[] {
  const idOf = ({ kind, exchange, routingKey }: Published) => [kind, exchange, routingKey];
  const seen = new Set(published.filter(({ isSeen }) => isSeen).map((one) => JSON.stringify(idOf(one))));
  return latest(published, idOf).map((one) => ({ ...one, isSeen: seen.has(JSON.stringify(idOf(one))) }));
}

/** Of those with one id the last. */
function latest<T>(entries: readonly T[], idOf: (entry: T) => readonly unknown[]): T[] {
  return [...new Map(entries.map((entry) => [JSON.stringify(idOf(entry)), entry])).values()];
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];
