import { InvalidArgumentError } from '../errors.ts';
import { Monitor } from '../telemetry/monitor.ts';
import { kindOf } from '../util/assert-object.ts';
import type { Assembled } from './assembled.ts';
import type { Assembly } from './assembly.ts';

export interface MonitorAddress {
  /** @default the setting monitor.host */
  readonly host?: string | undefined;
  /** 0 takes a free one. @default the setting monitor.port, else 9464 */
  readonly port?: number | undefined;
}

/** Where OpenTelemetry's exporter for Prometheus listens as well. */
const DEFAULT_PORT = 9464;
const MAX_PORT = 65_535;

/**
 * What tells of the process to those who watch it.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
 */
export function assembleMonitor(assembly: Assembly, address: MonitorAddress): Assembled<Monitor> {
  const { settings, meters, readiness, logger } = assembly;
  const { host = settings.monitor.host, port = settings.monitor.port ?? DEFAULT_PORT } = address;
  // Without a name node listens on every address of the machine.
  if (typeof host !== 'string' || host === '') {
    throw new InvalidArgumentError(
      'host',
      'the name or address of an interface',
      host === '' ? 'an empty text' : kindOf(host),
    );
  }
  if (!Number.isInteger(port) || port < 0 || port > MAX_PORT) {
    throw new InvalidArgumentError('port', `a whole number from 0 to ${MAX_PORT}`, String(port));
  }
  const metrics = () => meters.prometheus({ withProcess: true });
  const main = new Monitor({ host, port, metrics, keepDurations: () => meters.keepDurations(), readiness, logger });
  return { main, services: [main] };
}
