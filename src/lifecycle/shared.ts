import { StartAbortedError } from '../errors.ts';
import { deferred } from '../util/deferred.ts';
import { leavable } from '../util/leavable.ts';
import type { Service } from './service.ts';

/** A service that several others need: it runs from the start of the first until the stop of the last. */
export class SharedService<S extends Service> {
  readonly service: S;
  readonly #users = new Set<Service>();

  constructor(service: S) {
    this.service = service;
  }

  /** One user's side of it, as a service: stopping it stops the shared one only when nobody else uses it. */
  use(): Service {
    const { service } = this;
    const users = this.#users;
    let giveUp: ((error: Error) => void) | undefined;
    const user: Service = {
      name: service.name,
      get state() {
        return users.has(user) ? service.state : 'idle';
      },
      async start() {
        users.add(user);
        const left = deferred<never>();
        giveUp = left.reject;
        const started = leavable(service.start());
        try {
          await Promise.race([started.promise, left.promise]);
        } catch (error) {
          users.delete(user);
          throw error;
        } finally {
          started.leave();
        }
      },
      async stop() {
        // It may be waiting for a server that is down, and goes on to for the others.
        giveUp?.(new StartAbortedError(service.name));
        if (users.delete(user) && users.size === 0) await service.stop();
      },
    };
    return user;
  }
}
