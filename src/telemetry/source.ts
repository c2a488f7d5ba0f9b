import { NotRunningError } from '../errors.ts';

type Ask = () => Promise<string>;

let source: Ask = () => Promise.reject(new NotRunningError('the metrics', 'not set: import svc-comm/http'));

/** Says whose metrics parts tell that were given none: those of the default service, which is asked for each time. */
export function useMetricsSource(ask: Ask): void {
  source = ask;
}

export const metricsSource: Ask = () => source();
