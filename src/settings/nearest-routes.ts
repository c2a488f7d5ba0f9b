import type { BindSpec } from '../message/topology.ts';
import { nearestName } from '../util/nearest.ts';
import type { ResolvedSettings } from './resolved.ts';

/** Bindings that are named in a text. */
const MOST = 3;

/**
 * What the settings know that is like an exchange that no queue is bound to.
 * @param derived bindings of the registered consumers, for settings that name none
 * @returns the detail for UnroutableError; undefined when nothing is like it
 */
export function nearestRoutes(
  exchange: string,
  settings: Pick<ResolvedSettings, 'exchanges' | 'binds'>,
  derived: readonly BindSpec[],
): string | undefined {
  const binds = settings.binds ?? derived;
  const known = [...new Set([...binds.map((bind) => bind.exchange), ...settings.exchanges.map(({ name }) => name)])];
  const nearest = nearestName(exchange, known);
  if (nearest === undefined) return undefined;
  const patterns = binds.filter((bind) => bind.exchange === nearest).map(({ pattern }) => `"${pattern}"`);
  const bound = patterns.length > 0 ? `, bound with ${patterns.slice(0, MOST).join(', ')}` : '';
  return `no queue is bound for it; the nearest that the settings know is exchange "${nearest}"${bound}`;
}
