import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SvcCommService } from '../../src/assemble.ts';
import { createService } from '../../src/assemble.ts';
import { replyExchange } from '../../src/assembly/calls.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { callConsumer } from '../../src/router/call-consumer.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { ServiceKit } from '../support/service-kit.ts';

const CALLS = 100_000;
const WARM_UP = 20_000;
const IN_FLIGHT = 200;

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

let kit: ServiceKit;
let caller: SvcCommService;
let callee: SvcCommService;
beforeAll(async () => {
  kit = await ServiceKit.open('call_memory');
  const options = { brokerUrl: testBrokerUrl(), concurrency: 100 };
  const name = kit.exchangeName('callee');
  // A classic queue: this is about the caller's memory, not about the broker's disk.
  callee = createService(
    { ...options, appId: name, queue: { name, type: 'classic' }, retry: { attempts: 1 } },
    { logger: silentLogger },
  );
  caller = createService({ ...options, appId: kit.exchangeName('caller') }, { logger: silentLogger });
  callee.messageRouter.consumer(name, 'echo')(callConsumer((data: unknown) => data));
  await callee.consumer().start();
});
afterAll(async () => {
  await Promise.all([caller.close(), callee.close()]);
  await kit.channel.deleteQueue(`${callee.settings.appId}.dead`);
  await kit.channel.deleteExchange(replyExchange(caller.settings.appId));
  await kit.close();
});

/** Every hundredth is given up at once, so that those leave nothing behind either. */
async function calls(count: number): Promise<void> {
  let next = 0;
  const { appId } = callee.settings;
  const worker = async () => {
    while (next < count) {
      const n = next++;
      if (n % 100 === 1) {
        const abort = new AbortController();
        const given = caller.call(appId, 'echo', n, { signal: abort.signal });
        abort.abort(new Error('given up'));
        await expect(given).rejects.toThrow('given up');
      } else {
        const answered = await caller.call(appId, 'echo', { n }, { timeout: 60 });
        if ((answered as { n: number }).n !== n) throw new Error('the answer of another call');
      }
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

async function heapMiB(): Promise<number> {
  for (let i = 0; i < 3; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    collect();
  }
  return process.memoryUsage().heapUsed / 2 ** 20;
}

it('100,000 calls leave nothing behind: no waiter, and the heap as it was', async () => {
  await calls(WARM_UP);
  const before = await heapMiB();
  await calls(CALLS);
  const after = await heapMiB();
  console.log(
    `heap after ${WARM_UP} calls: ${before.toFixed(1)} MiB, after ${CALLS} more: ${after.toFixed(1)} MiB`,
    caller.callStats,
  );
  expect(caller.callStats.pending).toBe(0);
  expect(after - before).toBeLessThan(4);
});
