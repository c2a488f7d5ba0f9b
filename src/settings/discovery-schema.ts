import { z } from 'zod';
import { DEFAULT_SETTINGS as DEFAULTS } from './defaults.ts';
import { group } from './group.ts';
import { described, duration } from './leaf.ts';
import { flag, time } from './phrases.ts';

export const discoverySchema = group({
  enabled: described(
    z.boolean().prefault(DEFAULTS.discovery.enabled),
    flag('Whether other services hear of this one, and this one of them; never with declare none'),
  ),
  heartbeat: described(duration({ min: 1_000, max: 60_000 }).prefault(DEFAULTS.discovery.heartbeat), {
    ...time('How often a service says that it is there; two and a half of them unheard, and it is gone', '10s'),
    expected: "a duration from 1s to 60s with its unit, such as '10s'",
  }),
});
