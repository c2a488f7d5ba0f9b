import { diag } from '@opentelemetry/api';

/**
 * Runs what only tells of the work, which must not fail with it: an SDK, its processors and propagators are the project's.
 * @returns undefined when it threw; OpenTelemetry's diagnostics get to know what
 */
export function quietly<T>(tell: () => T): T | undefined {
  try {
    return tell();
  } catch (error) {
    diag.error('svc-comm could not tell OpenTelemetry of its work', error);
    return undefined;
  }
}
