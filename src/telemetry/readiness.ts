import type { Service } from '../lifecycle/service.ts';
import type { Reading } from './metrics.ts';

type Watched = Pick<Service, 'name' | 'state' | 'startError'>;

interface Asked {
  readonly service: Watched;
  readonly isReady: () => boolean;
}

/**
 * Which roles of a process do their work. Those that were stopped, or never started, are not asked; one whose start failed
 * does not, until it is stopped, or another of its name is started in its place.
 */
export class Readiness {
  /** Those that are always asked. */
  readonly #parts = new Map<Watched, () => boolean>();
  /** Those that were started. */
  readonly #roles = new Map<Watched, () => boolean>();

  /** For as long as the process lives. @param isReady whether it does its work; asked while it is running only */
  add(service: Watched, isReady: () => boolean): void {
    this.#parts.set(service, isReady);
  }

  /**
   * A role, at each of its starts. Those that have stopped by then are let go, and one of its name whose start has failed:
   * it is in its place.
   * @param isReady as for `add`
   */
  enter(service: Watched, isReady: () => boolean): void {
    for (const other of this.#roles.keys()) {
      if (other.state !== 'idle' || other === service) continue;
      if (other.startError === undefined || other.name === service.name) this.#roles.delete(other);
    }
    this.#roles.set(service, isReady);
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

  get #active(): readonly Asked[] {
    const all = [...this.#roles, ...this.#parts].map(([service, isReady]) => ({ service, isReady }));
    const started = all.filter(({ service }) => service.state !== 'idle');
    const names = new Set(started.map(({ service }) => service.name));
    const hasFailed = ({ service }: Asked) => service.state === 'idle' && service.startError !== undefined;
    return [...started, ...all.filter((role) => hasFailed(role) && !names.has(role.service.name))];
  }
}

const doesWork = ({ service, isReady }: Asked): boolean => service.state === 'running' && isReady();
