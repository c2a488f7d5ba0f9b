import { DatabaseUnavailableError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { ResolvedSettings } from '../settings/resolved.ts';
import { backoffMs } from '../util/backoff.ts';
import { sleep } from '../util/sleep.ts';
import { waitsUntilMs } from '../util/waits.ts';

/**
 * Asks again while the database is down, as long as the setting `wait` says: for what asks once by itself. Only for
 * questions: what changes something may have been done when its answer is lost.
 * @throws DatabaseUnavailableError when the time is over, and at once what else `ask` throws
 */
export async function untilAnswered<T>(
  ask: () => Promise<T>,
  { wait, logger }: Pick<ResolvedSettings, 'wait'> & { readonly logger: Logger },
): Promise<T> {
  const untilMs = waitsUntilMs(wait);
  for (let attempt = 0; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof DatabaseUnavailableError) || performance.now() >= untilMs) throw error;
      const delayMs = backoffMs(attempt);
      logger.warn({ delayMs, reason: error.message }, 'the database is not available; trying again');
      await sleep(delayMs);
    }
  }
}
