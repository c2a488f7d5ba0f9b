import type { Service } from '../lifecycle/service.ts';
import type { Reading } from './metrics.ts';

interface Role {
  readonly service: Pick<Service, 'name' | 'state'>;
  readonly isReady: () => boolean;
}

/** Which roles of a process do their work. Those that were stopped, or never started, are not asked. */
export class Readiness {
  readonly #roles: Role[] = [];

  /** @param isReady whether it does its work; asked while it is running only */
  add(service: Pick<Service, 'name' | 'state'>, isReady: () => boolean): void {
    this.#roles.push({ service, isReady });
  }

  /** Names of those that have been started and do not do their work: they wait for a server, start or stop. */
  get waiting(): readonly string[] {
    return this.#active.filter((role) => !doesWork(role)).map(({ service }) => service.name);
  }

  get readings(): readonly Reading[] {
    return this.#active.map((role) => ({
      name: 'svc_comm.ready',
      labels: { 'svc_comm.role': role.service.name },
      value: doesWork(role) ? 1 : 0,
    }));
  }

  get #active(): readonly Role[] {
    return this.#roles.filter(({ service }) => service.state !== 'idle');
  }
}

const doesWork = ({ service, isReady }: Role): boolean => service.state === 'running' && isReady();
