import { z } from 'zod';
import { DEFAULT_SETTINGS as DEFAULTS } from './defaults.ts';
import { group } from './group.ts';
import { described, wholeNumber } from './leaf.ts';
import { count, flag, text } from './phrases.ts';

export const telemetrySchema = group({
  spans: described(
    z.boolean().prefault(DEFAULTS.telemetry.spans),
    flag(
      'Whether spans are made for OpenTelemetry; off where something else makes them. Traces are passed on all the same',
    ),
  ),
});

export const monitorSchema = group({
  host: described(
    z.string().min(1).prefault(DEFAULTS.monitor.host),
    text('an address', 'Address on which commands that run tell of metrics and health'),
  ),
  port: described(wholeNumber(0, 65_535).optional(), {
    ...count(0, 'Port for it: /metrics, /health, /health/ready', 65_535),
    defaultText: 'none: they do not',
  }),
});
