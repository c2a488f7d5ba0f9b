import type { ConsumedKind } from '../router/message-catalogue.ts';
import type { Published } from './description.ts';
import { Reach } from './reach.ts';
import type { PresentInstance } from './roster.ts';
import { type ServiceView, serviceView } from './service-view.ts';

/** Who takes the messages of an exchange and pattern. */
export interface Listeners {
  /** undefined: of every exchange that the services' queues are bound to. */
  readonly exchange: string | undefined;
  readonly routingKey: string;
  readonly kind: ConsumedKind;
  readonly services: readonly string[];
}

/** A message that services may send, and that nobody who is there takes. */
export interface Unheard {
  readonly kind: Published['kind'];
  readonly exchange: string;
  readonly routingKey: string;
  /** Whose contract it is. */
  readonly services: readonly string[];
  /** Whether one of them has sent it since it runs. */
  readonly isSeen: boolean;
}

/** Who is there, and how their messages meet. */
export interface ServicesOverview {
  /** By name. */
  readonly services: readonly ServiceView[];
  /** Who listens to what. */
  readonly listeners: readonly Listeners[];
  /** Events that nobody consumes, commands that nobody takes, calls that nobody answers. By contracts. */
  readonly unheard: readonly Unheard[];
  /** Instances that have not told yet what they take and give: `unheard` may be less with them. */
  readonly undescribed: number;
  /** False: the broker is lost, and the list is as it was then. */
  readonly isCurrent: boolean;
}

/** More would be no services, but made up. */
const MOST_JUDGED = 2_000;

export function overviewOf(present: readonly PresentInstance[], isCurrent: boolean): ServicesOverview {
  const named = new Map<string, PresentInstance[]>();
  for (const instance of present) named.set(instance.name, [...(named.get(instance.name) ?? []), instance]);
  const services = [...named].map(([name, instances]) => serviceView(name, instances));
  return {
    services,
    listeners: listenersOf(services),
    unheard: unheardOf(services, reachesOf(present)),
    undescribed: present.filter(({ description }) => !description).length,
    isCurrent,
  };
}

/** Instances that tell the same take the same. */
function reachesOf(present: readonly PresentInstance[]): Reach[] {
  const distinct = new Map(present.map((instance) => [`${instance.name} ${instance.digest}`, instance]));
  return [...distinct.values()].flatMap(({ description }) =>
    description && description.consumes.length > 0 ? [new Reach(description)] : [],
  );
}

function listenersOf(services: readonly ServiceView[]): Listeners[] {
  const found = new Map<string, Listeners & { readonly services: string[] }>();
  for (const { name, consumes } of services) {
    for (const { exchange, routingKey, kind } of consumes) {
      const id = JSON.stringify([exchange, routingKey, kind]);
      const known = found.get(id) ?? { exchange, routingKey, kind, services: [] };
      if (!known.services.includes(name)) known.services.push(name);
      found.set(id, known);
    }
  }
  return [...found.values()].sort(byNames);
}

function unheardOf(services: readonly ServiceView[], reaches: readonly Reach[]): Unheard[] {
  const found = new Map<string, Unheard>();
  for (const { name, publishes } of services) {
    for (const { kind, exchange, routingKey, isSeen } of publishes) {
      const id = JSON.stringify([kind, exchange, routingKey]);
      const known = found.get(id);
      if (!known && found.size >= MOST_JUDGED) continue;
      found.set(id, {
        kind,
        exchange,
        routingKey,
        services: [...(known?.services ?? []), name],
        isSeen: isSeen || known?.isSeen === true,
      });
    }
  }
  return [...found.values()]
    .filter(({ exchange, routingKey }) => !reaches.some((reach) => reach.takes(exchange, routingKey)))
    .sort(byNames);
}

type Named = Pick<Listeners, 'exchange' | 'routingKey' | 'kind'>;

/** Those of every exchange last. */
const byNames = (a: Named, b: Named): number =>
  Number(a.exchange === undefined) - Number(b.exchange === undefined) ||
  compare(a.exchange ?? '', b.exchange ?? '') ||
  compare(a.routingKey, b.routingKey) ||
  compare(a.kind, b.kind);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
