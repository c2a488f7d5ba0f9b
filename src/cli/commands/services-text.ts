import type { ServicesOverview, Unheard } from '../../discovery/overview.ts';
import type { InstanceView, ServiceView } from '../../discovery/service-view.ts';
import { countText } from '../../util/count-text.ts';
import { columns, printable } from '../printable.ts';

/** What other services say of themselves stays in its cell. */
const cell = (text: string): string => printable(text).replaceAll(/\s+/g, ' ') || '-';
const cells = (...texts: readonly string[]): string[] => texts.map(cell);
const indented = (rows: readonly (readonly string[])[]): string[] => columns(rows).map((line) => `  ${line}`);
const section = (title: string, rows: readonly (readonly string[])[]): string[] =>
  rows.length === 0 ? [] : ['', title, ...indented(rows)];

const UNHEARD = { event: 'nobody consumes', command: 'nobody takes', call: 'nobody answers' } as const;

export function overviewText({ services, listeners, unheard, undescribed }: ServicesOverview): string {
  if (services.length === 0) return 'nobody is there: no service has said so';
  const instances = services.reduce((sum, service) => sum + service.instances.length, 0);
  const rows = services.map((service) => {
    const { name, versions, roles, isHealthy } = service;
    const number = String(service.instances.length);
    return cells(name, versions.join(', '), number, roles.join(', '), isHealthy ? 'well' : failingText(service));
  });
  return [
    `${countText(services.length, 'service')}, ${countText(instances, 'instance')}`,
    ...indented([['name', 'version', 'instances', 'roles', 'health'], ...rows]),
    ...section(
      'who listens to what',
      listeners.map(({ exchange, routingKey, kind, services: names }) =>
        cells(exchange ?? '(every exchange)', routingKey, kind, names.join(', ')),
      ),
    ),
    ...unheardText(unheard),
    ...(undescribed > 0 ? ['', `${countText(undescribed, 'instance')} of these have not told yet what they take`] : []),
  ].join('\n');
}

export function serviceText(service: ServiceView, unheard: readonly Unheard[]): string {
  const { name, versions, roles, queues, instances, consumes, publishes, tasks, processes, isHealthy } = service;
  const nobody = new Set(unheard.map(({ kind, exchange, routingKey }) => JSON.stringify([kind, exchange, routingKey])));
  return [
    cell(`${name} ${versions.join(', ')}`),
    ...indented([
      cells('roles', roles.join(', ')),
      cells('queue', queues.join(', ')),
      cells('health', isHealthy ? 'well' : failingText(service)),
    ]),
    ...section('instances', instances.map(instanceRow)),
    ...section(
      'consumes',
      consumes.map(({ kind, exchange, routingKey, handler, description }) =>
        cells(kind, exchange ?? '(every exchange)', routingKey, handler, description),
      ),
    ),
    ...section(
      'publishes, by its contracts',
      publishes.map(({ kind, exchange, routingKey, isSeen, description }) => {
        const isHeard = !nobody.has(JSON.stringify([kind, exchange, routingKey]));
        const fate = isHeard ? '' : UNHEARD[kind];
        return cells(kind, exchange, routingKey, isSeen ? 'sent' : 'not yet sent', fate, description);
      }),
    ),
    ...section(
      'tasks',
      tasks.map((task) => cells(task.name, task.description)),
    ),
    ...section(
      'processes',
      processes.map((process) => cells(process.id, process.name, process.description)),
    ),
    ...(consumes.length + publishes.length > 0 ? ['', 'schemas: --json'] : []),
  ].join('\n');
}

function instanceRow(instance: InstanceView): string[] {
  const { host, pid, version, roles, since, isDescribed, omitted } = instance;
  const left = omitted.length > 0 ? `without ${omitted.join(', ')}: too long` : '';
  return isDescribed
    ? cells(instance.instance, `${host} ${pid}`, version, roles.join(', '), `since ${since}`, left)
    : cells(instance.instance, 'has not told yet what it is');
}

function failingText({ instances }: ServiceView): string {
  const failing = instances.filter(({ failing: roles }) => roles.length > 0);
  const roles = [...new Set(failing.flatMap((instance) => instance.failing))];
  return `${roles.join(', ')} not working in ${failing.length} of ${instances.length}`;
}

function unheardText(unheard: readonly Unheard[]): string[] {
  const kinds = ['event', 'command', 'call'] as const;
  return kinds.flatMap((kind) =>
    section(
      UNHEARD[kind],
      unheard
        .filter((message) => message.kind === kind)
        .map(({ exchange, routingKey, services, isSeen }) =>
          cells(exchange, routingKey, `of ${services.join(', ')}`, isSeen ? 'sent' : 'not yet sent'),
        ),
    ),
  );
}
