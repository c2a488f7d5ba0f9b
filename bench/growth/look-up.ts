import { compiled } from '../compiled.ts';
import { type Measured, measure } from './curve.ts';

const LOOK_UPS = 100_000;
const PATTERNS = [1, 100, 10_000];

interface Keys {
  readonly name: string;
  /** @param n a number that comes once */
  of(n: number, patterns: number): string;
}

/** No answer for them is remembered: routing keys that have an id in them. */
export const NEVER_SEEN: Keys = {
  name: 'router, keys never seen',
  of: (n, patterns) => `type.${n % patterns}.created.${n}`,
};

/** As many as services have: their answers are remembered. */
export const SEEN: Keys = {
  name: 'router, keys seen before',
  of: (n, patterns) => `type.${n % Math.min(patterns, 1000)}.created`,
};

export async function lookUpGrowth(rounds: number, keysOf: Keys = NEVER_SEEN): Promise<Measured> {
  const { MessageRouter } = await compiled('router/router');
  const routers = new Map(
    PATTERNS.map((patterns) => {
      const router = new MessageRouter();
      for (let i = 0; i < patterns; i++) router.consumer('order', `type.${i}.#`)(() => undefined);
      return [patterns, router] as const;
    }),
  );
  let n = 0;
  const points = await measure(PATTERNS, rounds, async (patterns) => {
    // As they come from the socket: what is put together here would be joined within the look-up.
    const keys = Array.from({ length: LOOK_UPS }, () => Buffer.from(keysOf.of(n++, patterns)).toString());
    const router = routers.get(patterns);
    const [startMs, cpu] = [performance.now(), process.cpuUsage()];
    for (const key of keys) if (!router?.resolve('order', key)) throw new Error('no route');
    const { user, system } = process.cpuUsage(cpu);
    return { cpuUs: (user + system) / LOOK_UPS, wallUs: ((performance.now() - startMs) * 1000) / LOOK_UPS };
  });
  return { name: keysOf.name, of: 'patterns', points, power: 0 };
}
