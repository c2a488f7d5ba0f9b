import { NotRunningError } from '../errors.ts';
import type { ServicesOverview } from './overview.ts';

type Ask = () => Promise<ServicesOverview>;

let source: Ask = () => Promise.reject(new NotRunningError('the list of services', 'not set: import svc-comm/http'));

/** Says whom parts ask that were given no service: the default one, which is asked for at each look. */
export function useServicesSource(ask: Ask): void {
  source = ask;
}

export const servicesSource: Ask = () => source();
