import { compiled } from '../compiled.ts';
import { type Measured, measure } from './curve.ts';

const LOOK_UPS = 100_000;

/** Routing keys that were never seen, so that no answer is remembered. */
export async function lookUpGrowth(rounds: number): Promise<Measured> {
  const { MessageRouter } = await compiled('router/router');
  const routers = new Map(
    [1, 100, 10_000].map((patterns) => {
      const router = new MessageRouter();
      for (let i = 0; i < patterns; i++) router.consumer('order', `type.${i}.#`)(() => undefined);
      return [patterns, router] as const;
    }),
  );
  let n = 0;
  const points = await measure([...routers.keys()], rounds, async (patterns) => {
    const keys = Array.from({ length: LOOK_UPS }, () => `type.${n++ % patterns}.created.${n}`);
    const router = routers.get(patterns);
    const [startMs, cpu] = [performance.now(), process.cpuUsage()];
    for (const key of keys) if (!router?.resolve('order', key)) throw new Error('no route');
    const { user, system } = process.cpuUsage(cpu);
    return { cpuUs: (user + system) / LOOK_UPS, wallUs: ((performance.now() - startMs) * 1000) / LOOK_UPS };
  });
  return { name: 'router, keys never seen', of: 'patterns', points, power: 0 };
}
