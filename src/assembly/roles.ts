import { within } from '../broker/within.ts';
import type { TakeOneOptions } from '../consumer/take-one.ts';
import type { DeadLetters } from '../dead-letters/dead-letters.ts';
import type { RoleReport } from '../discovery/presence.ts';
import { DatabaseBusyError } from '../errors.ts';
import { group } from '../lifecycle/group.ts';
import type { Service } from '../lifecycle/service.ts';
import type { CoreServices } from '../process/core/services.ts';
import type { Processes } from '../process/processes.ts';
import type { RestClient } from '../rest-api/client.ts';
import type { Tasks } from '../task/tasks.ts';
import { once } from '../util/once.ts';
import type { Assembled } from './assembled.ts';
import type { Assembly } from './assembly.ts';
import { assembleCallSender, assembleCalls } from './calls.ts';
import { assembleCommands } from './commands.ts';
import { assembleDeadLetters } from './dead-letters.ts';
import { Discovery } from './discovery.ts';
import { assembleProcesses } from './processes.ts';
import { assembleRestClient } from './rest-client.ts';
import { assembleTaker } from './taker.ts';
import { assembleTasks } from './tasks.ts';

/** More than its start waits for a transaction of another process. */
const EMBEDDED_START_MS = 90_000;

type Started<Role> = Role & { readonly service: Service };

/** The roles that one service has taken on: each is made when it is first asked for, and all end with `stop`. */
export class Roles {
  readonly #assembly: Assembly;
  readonly #services = new Set<Service>();
  #restClient: Promise<RestClient> | undefined;

  constructor(assembly: Assembly) {
    this.#assembly = assembly;
  }

  readonly callSender = once(() => assembleCallSender(this.#assembly));
  /** Started by the first call. */
  readonly calls = once(() => this.#known(assembleCalls(this.#assembly)));
  /** Started by the first command. */
  readonly commands = once(() => this.#known(assembleCommands(this.#assembly)));
  readonly discovery = once(() => new Discovery(this.#assembly));
  readonly #tasks = once(() => this.#made(assembleTasks(this.#assembly), 'tasks'));
  #processes: Started<Assembled<Processes>> | undefined;
  readonly #taker = once(() => this.#made(assembleTaker(this.#assembly), 'taker'));
  readonly #deadLetters = once(() => this.#made(assembleDeadLetters(this.#assembly), 'dead letters'));

  async tasks(): Promise<Tasks> {
    const { main, service } = this.#tasks();
    const started = this.#started(service);
    // What is submitted there is written by it. It has the embedded database to itself, and would wait for us and we for it.
    const needNotWait = main.state === 'starting' && this.#assembly.transactions().isInside;
    if (needNotWait) started.catch(() => undefined);
    else await started;
    return main;
  }

  /** On the embedded database it may wait for a transaction which waits for us, and of which we do not know. */
  async #started(service: Service): Promise<void> {
    const started = service.start();
    if (this.#assembly.embedded.database === undefined) return started;
    const { wait } = this.#assembly.settings;
    const ms = typeof wait === 'number' ? Math.max(wait, EMBEDDED_START_MS) : EMBEDDED_START_MS;
    await within(ms, started, () => new DatabaseBusyError(ms, []));
  }

  /** @param services what the package's own tasks need */
  async processes(services: () => Promise<CoreServices>): Promise<Processes> {
    const tasks = await this.tasks();
    this.#processes ??= this.#made(assembleProcesses(this.#assembly, tasks, services), 'processes');
    await this.#started(this.#processes.service);
    return this.#processes.main;
  }

  async deadLetters(): Promise<DeadLetters> {
    const { deadLetters, service } = this.#deadLetters();
    await service.start();
    return deadLetters;
  }

  /** Declares what a consumer of the service's own queue does. */
  async declare(): Promise<void> {
    const { service, declare } = this.#taker();
    await service.start();
    await declare();
  }

  /** What it takes to take from this queue; the service's own is declared before the first. */
  async taking(queue: string): Promise<TakeOneOptions> {
    const { service, declare, optionsFor } = this.#taker();
    await service.start();
    if (queue === this.#assembly.settings.queue.name) await declare();
    return optionsFor(queue);
  }

  /** One for all who ask. */
  restClient(): Promise<RestClient> {
    this.#restClient ??= assembleRestClient(this.#assembly).catch((error: unknown) => {
      this.#restClient = undefined;
      throw error;
    });
    return this.#restClient;
  }

  /**
   * Parts in their order of start, as one service that ends with the others. From its start metrics and readiness ask it.
   * @param report what other services are told of it. @default nothing
   */
  add({ services, isReady, metrics }: Assembled<Service>, name: string, report?: RoleReport): Service {
    const told = report ? [this.discovery().report(report)] : [];
    return this.#whileStarted(group(name, [...services, ...told]), (service) => {
      if (metrics) this.#assembly.meters.enter(service, metrics);
      if (isReady) this.#assembly.readiness.enter(service, isReady);
    });
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#services].map((service) => service.stop()));
    if (this.discovery.isMade) await this.discovery().stop();
    const restClient = this.#restClient;
    this.#restClient = undefined;
    await (await restClient?.catch(() => undefined))?.close();
  }

  /** Known from each start until it has stopped: who watches an exchange now and then leaves nothing of it behind. */
  #whileStarted(service: Service, onStart: (service: Service) => void): Service {
    const known = this.#services;
    let starts = 0;
    return {
      name: service.name,
      get state() {
        return service.state;
      },
      get startError() {
        return service.startError;
      },
      async start() {
        const startsBefore = starts++;
        known.add(service);
        const starting = service.start();
        onStart(service);
        try {
          await starting;
        } catch (error) {
          // It has stopped what it had started.
          if (starts === startsBefore + 1 && service.state !== 'running') known.delete(service);
          throw error;
        }
      },
      async stop() {
        const startsBefore = starts;
        try {
          await service.stop();
        } finally {
          // One that was started again meanwhile is on its way.
          if (starts === startsBefore) known.delete(service);
        }
      },
    };
  }

  #made<Role extends Assembled<Service>>(role: Role, name: string): Started<Role> {
    return this.#known({ ...role, service: group(name, role.services) });
  }

  #known<Role extends { readonly service: Service }>(role: Role): Role {
    this.#services.add(role.service);
    return role;
  }
}
