import type { Service } from '../lifecycle/service.ts';
import type { Reading } from './metrics.ts';

type Watched = Pick<Service, 'name' | 'state' | 'startError'>;

interface Role {
  readonly service: Watched;
  readonly isReady: () => boolean;
}

/**
 * Which roles of a process do their work. Those that were stopped, or never started, are not asked; one whose start failed
 * does not, until it is stopped, or another of its name is started in its place.
 */
export class Readiness {
  readonly #roles: Role[] = [];

  /** @param isReady whether it does its work; asked while it is running only */
  add(service: Watched, isReady: () => boolean): void {
    this.#roles.push({ service, isReady });
  }

  /** Names of those that have been started and do not do their work: they wait for a server, start, stop, or could not be started. */
  get waiting(): readonly string[] {
    return [...new Set(this.#active.filter((role) => !doesWork(role)).map(({ service }) => service.name))];
  }

  get readings(): readonly Reading[] {
    return this.#active.map((role) => ({
      name: 'svc_comm.ready',
      labels: { 'svc_comm.role': role.service.name },
      value: doesWork(role) ? 1 : 0,
    }));
  }

  get #active(): readonly Role[] {
    const started = this.#roles.filter(({ service }) => service.state !== 'idle');
    const names = new Set(started.map(({ service }) => service.name));
    const hasFailed = ({ service }: Role) => service.state === 'idle' && service.startError !== undefined;
    return [...started, ...this.#roles.filter((role) => hasFailed(role) && !names.has(role.service.name))];
  }
}

const doesWork = ({ service, isReady }: Role): boolean => service.state === 'running' && isReady();
