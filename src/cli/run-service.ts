import type { SvcCommService } from '../assemble.ts';
import { group } from '../lifecycle/group.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { Service } from '../lifecycle/service.ts';
import { runUntilSignal } from '../lifecycle/signals.ts';
import type { ResolvedSettings } from '../settings/resolved.ts';
import { sleep } from '../util/sleep.ts';

/** What follows the drain: messages given back, connections closed. */
const CLOSE_MS = 5_000;

export interface RunOptions {
  readonly logger: Logger;
  readonly settings: ResolvedSettings;
  /** Logged when it is ready. */
  readonly readyText: string;
  /** See `SignalOptions`. */
  readonly leftText?: string | undefined;
  /** Called when it is ready. */
  readonly onReady?: (() => void) | undefined;
  /** Started before the service, and stopped after it. @default nothing */
  readonly monitor?: Service | undefined;
  /** Closes what the service was built on. */
  readonly close: () => Promise<void>;
}

/** Runs a service as this process's only work, until a signal. */
export async function runService(service: Service, options: RunOptions): Promise<0 | 1> {
  const { logger, settings, monitor, leftText, close } = options;
  const graceMs = settings.gracePeriodMs + CLOSE_MS;
  let exitCode: 0 | 1 = 0;
  try {
    const all = monitor ? group(service.name, [monitor, service]) : service;
    exitCode = await runUntilSignal(announced(all, options), { logger, graceMs, leftText });
    return exitCode;
  } finally {
    // After a stop that was cut short nothing is waited for any more.
    if (exitCode === 0) await closeSoon(close);
  }
}

/** What tells of the process, where the settings say that it is told of. */
export const monitorOf = (service: SvcCommService): Service | undefined =>
  service.settings.monitor.port === undefined ? undefined : service.monitor();

/** For short commands: a server that is gone must not hold up the end. */
export async function closeSoon(close: () => Promise<void>): Promise<void> {
  await Promise.race([close(), sleep(CLOSE_MS)]);
}

function announced(service: Service, { logger, readyText, onReady }: RunOptions): Service {
  const { pid } = process;
  return {
    name: service.name,
    get state() {
      return service.state;
    },
    async start() {
      logger.info({ pid }, `${service.name} is starting`);
      await service.start();
      logger.info({ pid }, readyText);
      onReady?.();
    },
    async stop() {
      await service.stop();
      logger.info({ pid }, `${service.name} has stopped`);
    },
  };
}
