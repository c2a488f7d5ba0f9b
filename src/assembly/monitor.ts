import { Monitor } from '../telemetry/monitor.ts';
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

/** What tells of the process to those who watch it. */
export function assembleMonitor(assembly: Assembly, address: MonitorAddress): Assembled<Monitor> {
  const { settings, meters, readiness, logger } = assembly;
  const { host = settings.monitor.host, port = settings.monitor.port ?? DEFAULT_PORT } = address;
  const metrics = () => meters.prometheus({ withProcess: true });
  const main = new Monitor({ host, port, metrics, keepDurations: () => meters.keepDurations(), readiness, logger });
  return { main, services: [main] };
}
