import { Lifecycle, type Service } from './service.ts';

/** Several services as one: started in the order given, stopped in the reverse order, also when one start fails. */
export function group(name: string, services: readonly Service[]): Service {
  return new Lifecycle(name, {
    async start(signal) {
      for (const service of services) {
        if (signal.aborted) return;
        // The one that is starting may be waiting for a server that is down: it gives up when it is stopped itself.
        const giveUp = () => void service.stop().catch(() => undefined);
        signal.addEventListener('abort', giveUp);
        try {
          await service.start();
        } finally {
          signal.removeEventListener('abort', giveUp);
        }
      }
    },
    async stop() {
      const failures: unknown[] = [];
      for (const service of services.toReversed()) {
        await service.stop().catch((error: unknown) => failures.push(error));
      }
      if (failures.length === 1) throw failures[0];
      if (failures.length > 1)
        throw new AggregateError(failures, `${failures.length} parts of ${name} did not stop cleanly`);
    },
  });
}
