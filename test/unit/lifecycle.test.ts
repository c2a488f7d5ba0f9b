import { fork } from 'node:child_process';
import { existsSync, openSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { NotRunningError, StartAbortedError } from '../../src/errors.ts';
import { BoundLogger } from '../../src/lifecycle/bound-logger.ts';
import { group } from '../../src/lifecycle/group.ts';
import { Lifecycle, type Service } from '../../src/lifecycle/service.ts';
import { SharedService } from '../../src/lifecycle/shared.ts';
import { deferred } from '../../src/util/deferred.ts';

function setup() {
  const log: string[] = [];
  const gate = { start: deferred(), stop: deferred() };
  gate.start.resolve();
  gate.stop.resolve();
  const life = new Lifecycle('part', {
    async start() {
      log.push('start');
      await gate.start.promise;
      log.push('started');
    },
    async stop() {
      log.push('stop');
      await gate.stop.promise;
      log.push('stopped');
    },
  });
  return { log, gate, life };
}

describe('a service', () => {
  test('started twice at the same time starts once', async () => {
    const { life, log } = setup();
    await Promise.all([life.start(), life.start()]);
    await life.start();
    expect(log).toEqual(['start', 'started']);
    expect(life.state).toBe('running');
  });

  test('stopped without a start, or twice, is quiet and stops once', async () => {
    const { life, log } = setup();
    await life.stop();
    expect(log).toEqual([]);
    await life.start();
    await Promise.all([life.stop(), life.stop()]);
    await life.stop();
    expect(log).toEqual(['start', 'started', 'stop', 'stopped']);
    expect(life.state).toBe('idle');
  });

  test('stopped while it starts: the starter gets StartAbortedError, what was built is taken down', async () => {
    const { life, log, gate } = setup();
    gate.start = deferred();
    const started = life.start();
    const refused = expect(started).rejects.toBeInstanceOf(StartAbortedError);
    const stopped = life.stop();
    gate.start.resolve();
    await refused;
    await stopped;
    expect(log).toEqual(['start', 'started', 'stop', 'stopped']);
    expect(life.state).toBe('idle');
  });

  test('started while it stops waits, then starts anew', async () => {
    const { life, log, gate } = setup();
    await life.start();
    gate.stop = deferred();
    const stopped = life.stop();
    const started = life.start();
    gate.stop.resolve();
    await Promise.all([stopped, started]);
    expect(log).toEqual(['start', 'started', 'stop', 'stopped', 'start', 'started']);
    expect(life.state).toBe('running');
  });

  test('whose start failed is taken down and can be started again', async () => {
    let fail = true;
    let stops = 0;
    const life = new Lifecycle('part', {
      async start() {
        if (fail) throw new Error('no');
      },
      async stop() {
        stops += 1;
      },
    });
    await expect(life.start()).rejects.toThrow('no');
    expect([life.state, stops]).toEqual(['idle', 1]);
    expect(() => life.assertRunning()).toThrow(NotRunningError);
    fail = false;
    await life.start();
    expect(life.state).toBe('running');
  });

  test('the signal of its start aborts when a stop comes', async () => {
    const seen = deferred<AbortSignal>();
    const life = new Lifecycle('part', {
      start: (signal) => {
        seen.resolve(signal);
        return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
      },
      stop: async () => undefined,
    });
    const started = life.start().catch((error: unknown) => error);
    const signal = await seen.promise;
    await life.stop();
    expect(signal.aborted).toBe(true);
    expect(await started).toBeInstanceOf(StartAbortedError);
  });
});

describe('a group', () => {
  const part = (name: string, log: string[], fails = false): Service =>
    new Lifecycle(name, {
      async start() {
        if (fails) throw new Error(`${name} failed`);
        log.push(`+${name}`);
      },
      async stop() {
        log.push(`-${name}`);
      },
    });

  test('starts in order and stops in the reverse order', async () => {
    const log: string[] = [];
    const all = group('all', [part('a', log), part('b', log)]);
    await all.start();
    await all.stop();
    expect(log).toEqual(['+a', '+b', '-b', '-a']);
  });

  test('one of whose parts fails to start stops the others and passes the error on', async () => {
    const log: string[] = [];
    const all = group('all', [part('a', log), part('b', log, true), part('c', log)]);
    await expect(all.start()).rejects.toThrow('b failed');
    expect(log).toEqual(['+a', '-b', '-a']);
    expect(all.state).toBe('idle');
  });

  test('that is stopped while a part waits in its start stops that part, and does not wait with it', async () => {
    const log: string[] = [];
    const waiting = new Lifecycle('waiting', {
      start: (signal) =>
        new Promise((resolve) => {
          log.push('waits');
          signal.addEventListener('abort', () => resolve());
        }),
      stop: async () => undefined,
    });
    const all = group('all', [part('a', log), waiting, part('b', log)]);
    const started = all.start().catch((error: unknown) => error);
    await vi.waitFor(() => expect(log).toContain('waits'), { timeout: 60_000 });
    await all.stop();
    expect(await started).toBeInstanceOf(StartAbortedError);
    expect(log).toEqual(['+a', 'waits', '-a']);
  });
});

test('who stops while a shared service starts waits for it no longer, and the others get it', async () => {
  const { life, gate, log } = setup();
  gate.start = deferred();
  const shared = new SharedService(life);
  const [one, other] = [group('one', [shared.use()]), group('other', [shared.use()])];
  const started = one.start();
  const alsoStarted = other.start();
  const refused = expect(started).rejects.toMatchObject({ code: 'SVC_COMM_START_ABORTED' });
  await one.stop();
  await refused;
  gate.start.resolve();
  await alsoStarted;
  expect([one.state, other.state, life.state]).toEqual(['idle', 'running', 'running']);
  await other.stop();
  expect(life.state).toBe('idle');
  expect(log).toEqual(['start', 'started', 'stop', 'stopped']);
});

describe('a process that runs until a signal', () => {
  const child = () => {
    const proc = fork(new URL('../support/signal-child.ts', import.meta.url), {
      execArgv: ['--import', 'tsx'],
      silent: true,
    });
    const running = new Promise<void>((resolve) => proc.once('message', () => resolve()));
    const exit = new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
      proc.once('exit', (code, signal) => resolve([code, signal])),
    );
    return { proc, running, exit };
  };

  test('drains on the first SIGTERM and exits 0', async () => {
    const { proc, running, exit } = child();
    await running;
    proc.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
  });

  test('a second signal cuts the drain short with exit 1', async () => {
    const { proc, running, exit } = child();
    await running;
    proc.send('hang in stop');
    await new Promise<void>((resolve) => proc.once('message', () => resolve()));
    proc.kill('SIGTERM');
    await new Promise<void>((resolve) => proc.once('message', () => resolve()));
    proc.kill('SIGINT');
    expect(await exit).toEqual([1, null]);
  });
});

test('of any crossing of starts and stops, the last call decides the state', async () => {
  for (let seed = 0; seed < 300; seed++) {
    const tick = () => new Promise<void>((resolve) => setImmediate(resolve));
    let open = 0;
    const life = new Lifecycle('part', {
      async start() {
        await tick();
        open += 1;
      },
      async stop() {
        await tick();
        open = 0;
      },
    });
    let bits = seed * 2_654_435_761;
    let last = 'stop';
    const calls: Promise<unknown>[] = [];
    for (let i = 0; i < 8; i++) {
      bits = (bits * 1_103_515_245 + 12_345) % 2 ** 31;
      last = bits % 3 === 0 ? 'stop' : 'start';
      calls.push((last === 'stop' ? life.stop() : life.start()).catch((error: unknown) => error));
      if (bits % 5 === 0) await tick();
    }
    await Promise.all(calls);
    expect([life.state, open], `seed ${seed}`).toEqual(last === 'start' ? ['running', 1] : ['idle', 0]);
  }
});

test('a handler’s logger keeps an error that is given instead of fields, and a text that is given alone', () => {
  const error = vi.fn();
  const silent = () => undefined;
  const logger = new BoundLogger({ debug: silent, info: silent, warn: silent, error }, { messageId: 'm' });
  const failure = Object.assign(new Error('no route to host'), { code: 'EHOSTUNREACH' });
  logger.error(failure, 'mail was not sent');
  Reflect.apply(logger.error, logger, ['no mail']);
  expect(error.mock.calls).toEqual([
    [{ messageId: 'm', error: failure }, 'mail was not sent'],
    [{ messageId: 'm' }, 'no mail'],
  ]);
});

test.skipIf(!existsSync('/dev/full'))('a log that a full disk does not take ends nothing', async () => {
  const child = fork(new URL('../support/logging-child.ts', import.meta.url), {
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', openSync('/dev/full', 'w'), 'ipc'],
  });
  const told: unknown[] = [];
  child.on('message', (message) => told.push(message));
  const code = await new Promise((resolve) => child.once('exit', resolve));
  expect({ code, told }).toEqual({ code: 0, told: ['logged'] });
});
