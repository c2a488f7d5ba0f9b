import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createService, type SvcCommService } from '../../../src/assemble.ts';
import { SvcCommError } from '../../../src/errors.ts';
import { silentLogger } from '../../../src/lifecycle/logger.ts';
import { callConsumer } from '../../../src/router/call-consumer.ts';
import { LogLines } from '../../support/broker-kit.ts';
import { bin, CliProject } from '../../support/cli-project.ts';
import { until } from '../../support/consumer-kit.ts';
import { type OwnRabbit, startOwnRabbit } from '../../support/own-servers.ts';
import { slowness } from '../../support/slowness.ts';

const CALLS = 10_000;
const IN_FLIGHT = 1_000;
const TIMEOUT_S = 20;

interface Ended {
  readonly n: number;
  readonly outcome: string;
  readonly lateMs: number;
}

/** Calls by as many callers as may be in flight; each of them as soon as its last one has ended. */
async function callAll(caller: SvcCommService, callee: string, onEnded: (ended: readonly Ended[]) => void) {
  const ended: Ended[] = [];
  let next = 0;
  const one = async (n: number): Promise<void> => {
    const deadlineMs = performance.now() + TIMEOUT_S * 1000;
    const outcome = await caller.call<{ n: number }>(callee, 'echo', { n }, { timeout: TIMEOUT_S }).then(
      (answer) => (answer.n === n ? 'answered' : `the answer of ${answer.n}`),
      (error: unknown) => (error instanceof SvcCommError ? error.code : String(error)),
    );
    ended.push({ n, outcome, lateMs: performance.now() - deadlineMs });
    onEnded(ended);
  };
  const worker = async () => {
    while (next < CALLS) await one(next++);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return ended;
}

function report(what: string, ended: readonly Ended[], stats: SvcCommService['callStats']): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { outcome } of ended) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const worst = Math.max(...ended.map(({ lateMs }) => lateMs));
  console.log(what, Object.fromEntries(counts), `latest: ${Math.round(worst)} ms after its deadline`, stats);
  return counts;
}

/** Settled once each, in time, nobody with another's answer; most with their own. */
function expectSettled(ended: readonly Ended[], counts: ReadonlyMap<string, number>): void {
  expect(ended).toHaveLength(CALLS);
  expect(new Set(ended.map(({ n }) => n)).size).toBe(CALLS);
  expect(Math.max(...ended.map(({ lateMs }) => lateMs))).toBeLessThan(1_000 * slowness());
  const allowed = ['answered', 'SVC_COMM_CALL_LOST', 'SVC_COMM_CALL_TIMEOUT', 'SVC_COMM_BROKER_UNAVAILABLE'];
  expect([...counts.keys()].filter((outcome) => !allowed.includes(outcome))).toEqual([]);
  expect(counts.get('answered')).toBeGreaterThan(CALLS / 2);
}

describe('10,000 calls with 1,000 in flight settle once each, by their deadline, with their own answer', () => {
  let rabbit: OwnRabbit;
  beforeAll(async () => {
    rabbit = await startOwnRabbit();
  });
  afterAll(() => rabbit?.remove());

  it('when the broker is killed and started again in the middle', async () => {
    const options = { brokerUrl: rabbit.url, concurrency: 100, logLevel: 'silent' } as const;
    const callee = createService({ ...options, appId: 'callee' }, { logger: silentLogger });
    const caller = createService({ ...options, appId: 'caller' }, { logger: silentLogger });
    callee.messageRouter.consumer('callee', 'echo')(callConsumer(async (data) => data));
    await callee.consumer().start();
    await rabbit.flushDeclarations();
    let restarted: Promise<void> | undefined;
    const ended = await callAll(caller, 'callee', ({ length }) => {
      if (length >= CALLS / 4) restarted ??= rabbit.kill9().then(() => rabbit.restart());
    });
    await restarted;
    const counts = report('broker killed:', ended, caller.callStats);
    expectSettled(ended, counts);
    expect(counts.get('SVC_COMM_CALL_LOST') ?? 0).toBeGreaterThan(0);
    expect(caller.callStats.pending).toBe(0);
    await Promise.all([caller.close(), callee.close()]);
  });

  it('when the callee is killed and started again in the middle', async () => {
    const project = new CliProject({
      'src/consumers.ts': `import { callConsumer, messageRouter } from 'svc-comm';
        messageRouter.consumer('EXCHANGE', 'echo')(callConsumer(async (data) => data, { inbox: false }));`,
    });
    const environment = { SVC_COMM_BROKER_URL: rabbit.url, SVC_COMM_CONCURRENCY: '100' };
    const start = () => project.start([bin, 'runconsumer', '--log-level', 'info'], environment);
    expect((await project.cli('migrate')).code).toBe(0);
    let callee = start();
    await callee.line('consuming from queue');
    const settings = { brokerUrl: rabbit.url, appId: 'caller', logLevel: 'silent' } as const;
    const caller = createService(settings, { logger: silentLogger });
    let restarted: Promise<void> | undefined;
    const restart = async () => {
      callee.child.kill('SIGKILL');
      await once(callee.child, 'exit');
      callee = start();
      await callee.line('consuming from queue');
    };
    const ended = await callAll(caller, project.exchange, ({ length }) => {
      if (length >= CALLS / 4) restarted ??= restart();
    });
    await restarted;
    const counts = report('callee killed:', ended, caller.callStats);
    expectSettled(ended, counts);
    // What the dead process had taken is delivered again, and answered by the next one.
    expect(counts.get('answered')).toBe(CALLS);
    await until(() => caller.callStats.pending === 0);
    await caller.close();
    await project.remove();
  });

  it('and a user who may not declare anything is answered by the direct way, and told once that there is no other', async () => {
    await rabbit.ctl('add_user', 'plain', 'secret');
    await rabbit.ctl('set_permissions', 'plain', '^$', '.*', '.*');
    const log = new LogLines();
    const brokerUrl = rabbit.url.replace('guest:guest', 'plain:secret');
    const callee = createService({ brokerUrl: rabbit.url, appId: 'open' }, { logger: silentLogger });
    const caller = createService({ brokerUrl, appId: 'closed' }, { logger: log });
    const replyTo: unknown[] = [];
    callee.messageRouter.use((next) => (incoming, context) => {
      replyTo.push(JSON.parse(context.rawBody.toString()).meta.replyTo);
      return next(incoming, context);
    });
    callee.messageRouter.consumer('open', 'echo')(callConsumer(async (data) => data));
    await callee.consumer().start();
    await expect(caller.call('open', 'echo', { n: 1 }, { timeout: 20 })).resolves.toEqual({ n: 1 });
    await expect(caller.call('open', 'echo', { n: 2 }, { timeout: 20 })).resolves.toEqual({ n: 2 });
    expect(replyTo).toEqual(['', '']);
    expect(log.count('answers by message cannot be received')).toBe(1);
    await Promise.all([caller.close(), callee.close()]);
  });
});
