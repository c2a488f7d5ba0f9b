import { AsyncLocalStorage } from 'node:async_hooks';
import { NotRunningError } from '../../errors.ts';

/** What the package's own tasks need of the service that they run in. */
export interface CoreServices {
  publishEvent(event: CoreEvent): Promise<{ readonly eventId: string }>;
  sendCommand(service: string, args: object, options: CoreCommandOptions): Promise<void>;
  /** Absolute: where files are written. */
  readonly folder: string;
}

export interface CoreEvent {
  readonly aggregate: string;
  readonly eventType: string;
  readonly payload: unknown;
  readonly key?: string;
}

export interface CoreCommandOptions {
  readonly commandName?: string;
  readonly timeout?: number;
}

/** A service, as far as it is one for this. */
export interface ServiceLike {
  readonly settings: { readonly instances: { readonly folder: string } };
  publishAggregateEvent(event: never, options: { transaction: 'own' }): Promise<{ readonly eventId: string }>;
  sendCommand(service: string, args: never, options: never): Promise<unknown>;
}

export const coreServicesOf = (service: ServiceLike): CoreServices => ({
  publishEvent: (event) => service.publishAggregateEvent(event as never, { transaction: 'own' }),
  sendCommand: async (name, args, options) => void (await service.sendCommand(name, args as never, options as never)),
  folder: service.settings.instances.folder,
});

type Get = () => Promise<CoreServices>;

const scopes = new AsyncLocalStorage<Get>();

let source: Get = () =>
  Promise.reject(new NotRunningError('the service behind tasks', 'not set: import svc-comm/process'));

/** Says where tasks find the service when they run outside of one that creates instances. */
export function useCoreServices(get: Get): void {
  source = get;
}

/** Runs `work`; what it awaits finds this service. */
export const inServiceScope = <T>(get: Get, work: () => T): T => scopes.run(get, work);

export const coreServices = (): Promise<CoreServices> => (scopes.getStore() ?? source)();
