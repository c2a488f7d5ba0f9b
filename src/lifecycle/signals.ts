import { deferred } from '../util/deferred.ts';
import type { Logger } from './logger.ts';
import type { Service } from './service.ts';

export interface SignalOptions {
  readonly logger: Logger;
  /** A drain that takes longer is given up. */
  readonly graceMs: number;
  /** What becomes of what a stop that is cut short leaves. @default 'what was in flight will be delivered again' */
  readonly leftText?: string | undefined;
}

const DELIVERED_AGAIN = 'what was in flight will be delivered again';

export const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Starts the service and runs it until SIGTERM or SIGINT, then drains it.
 * @returns the exit code: 0 after a clean drain, 1 when a second signal or the grace time cut it short
 * @throws what `start` throws
 */
export async function runUntilSignal(
  service: Service,
  { logger, graceMs, leftText = DELIVERED_AGAIN }: SignalOptions,
): Promise<0 | 1> {
  const asked = deferred<'asked'>();
  const forced = deferred<'a second signal'>();
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals) => {
    signals += 1;
    logger.info(
      { signal, service: service.name },
      signals === 1 ? 'stopping: draining what is in flight' : 'stopping now',
    );
    if (signals === 1) asked.resolve('asked');
    else forced.resolve('a second signal');
  };
  for (const signal of STOP_SIGNALS) process.on(signal, onSignal);
  let timer: NodeJS.Timeout | undefined;
  try {
    const started = service.start();
    started.catch(() => undefined);
    if ((await Promise.race([started.then(() => 'started' as const), asked.promise])) === 'started')
      await asked.promise;
    const grace = new Promise<'the grace time'>((resolve) => {
      timer = setTimeout(resolve, graceMs, 'the grace time');
    });
    const end = await Promise.race([service.stop().then(() => 'quiet' as const), forced.promise, grace]);
    if (end === 'quiet') return 0;
    logger.error({ service: service.name, graceMs }, `stop was cut short by ${end}; ${leftText}`);
    return 1;
  } finally {
    clearTimeout(timer);
    for (const signal of STOP_SIGNALS) process.off(signal, onSignal);
  }
}
