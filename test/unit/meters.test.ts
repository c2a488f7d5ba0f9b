import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { ServiceState } from '../../src/lifecycle/service.ts';
import { Meters } from '../../src/telemetry/meters.ts';
import type { Reading } from '../../src/telemetry/metrics.ts';
import { deferred } from '../../src/util/deferred.ts';
import { OpenTelemetry } from '../support/open-telemetry.ts';

let telemetry: OpenTelemetry;

beforeEach(() => {
  telemetry = new OpenTelemetry();
});
afterEach(() => telemetry.stop());

let queues = 0;
/** Of this test alone: what services have counted stays with the process. */
let queue: string;
beforeEach(() => {
  queue = `queue ${++queues}`;
});

/** What a consumer of the queue may tell. */
function part(counts: { received: number; inFlight: number; waiting: number; ready: number }): readonly Reading[] {
  const labels = { 'messaging.consumer.group.name': queue };
  return [
    { name: 'svc_comm.consumer.received', labels, value: counts.received },
    { name: 'svc_comm.consumer.in_flight', labels, value: counts.inFlight },
    { name: 'svc_comm.queue.messages', labels: { 'svc_comm.queue': queue }, value: counts.waiting },
    { name: 'svc_comm.ready', labels: { 'svc_comm.role': queue }, value: counts.ready },
  ];
}
const one = () => part({ received: 5, inFlight: 5, waiting: 7, ready: 1 });
const other = () => part({ received: 3, inFlight: 3, waiting: 7, ready: 0 });

/** What OpenTelemetry knows of the queue. */
async function known(name: Reading['name']): Promise<unknown> {
  const found = [...(await telemetry.metric(name))].filter(([labels]) =>
    Object.values(JSON.parse(labels)).includes(queue),
  );
  return found.map(([, value]) => value);
}

/** A service whose parts tell these. */
function service(...parts: readonly (readonly Reading[])[]): Meters {
  const meters = new Meters();
  for (const part of parts) meters.add(() => part);
  return meters;
}

/** The values of a page by their names. */
async function page(meters: Meters): Promise<Record<string, number>> {
  const lines = (await meters.prometheus()).split('\n').filter((line) => /^svc_comm/.test(line));
  return Object.fromEntries(lines.map((line) => [line.split('{')[0], Number(line.split(' ').at(-1))]));
}

describe('parts that tell the same', () => {
  test('are added up where each has its own, and are not where all ask the same server', async () => {
    expect(await page(service(one(), other()))).toMatchObject({
      svc_comm_consumer_received_total: 8,
      svc_comm_consumer_in_flight: 8,
      svc_comm_queue_messages: 7,
      svc_comm_ready: 0,
    });
  });

  test('are one at OpenTelemetry, also when they are of several services', async () => {
    const services = [service(one()), service(other())];
    expect(await known('svc_comm.consumer.received')).toEqual([8]);
    expect(await known('svc_comm.consumer.in_flight')).toEqual([8]);
    expect(await known('svc_comm.queue.messages')).toEqual([7]);
    expect(await known('svc_comm.ready')).toEqual([0]);
    await Promise.all(services.map((each) => each.close()));
  });
});

describe('a service that was closed', () => {
  test('is not asked any more, and what it had counted stays counted', async () => {
    let isAsked = 0;
    const closed = service(one());
    closed.add(() => {
      isAsked += 1;
      return [];
    });
    const open = service(other());
    expect(await known('svc_comm.consumer.received')).toEqual([8]);
    await closed.close();
    const before = isAsked;
    expect(await known('svc_comm.consumer.received')).toEqual([8]);
    expect(await known('svc_comm.consumer.in_flight')).toEqual([3]);
    expect(isAsked).toBe(before);
    await open.close();
  });

  test('is counted once, however often it is closed and however many come after it', async () => {
    const [before = 0] = (await known('svc_comm.consumer.received')) as number[];
    for (let i = 0; i < 10; i++) {
      const short = service(one());
      await Promise.all([short.close(), short.close()]);
      await short.close();
    }
    expect(await known('svc_comm.consumer.received')).toEqual([before + 50]);
  });
});

describe('a metrics SDK that is set up after that of traces', () => {
  test('is told by parts that are made after it', async () => {
    const meters = service(one());
    await telemetry.stop();
    telemetry = new OpenTelemetry();
    meters.add(other);
    meters.record('svc_comm.task.duration', 1, { 'svc_comm.task.name': 'a', 'svc_comm.task.state': 'SUCCESS' });
    expect(await known('svc_comm.consumer.in_flight')).toEqual([8]);
    expect([...(await telemetry.metric('svc_comm.task.duration')).values()]).toMatchObject([{ count: 1 }]);
    await meters.close();
  });
});

describe('a source that has not answered yet', () => {
  test('is asked once, by however many scrapes', async () => {
    const answer = deferred<readonly Reading[]>();
    let asked = 0;
    const meters = new Meters();
    meters.add(() => {
      asked += 1;
      return answer.promise;
    });
    const scrapes = [page(meters), page(meters), page(meters)];
    answer.resolve(one());
    for (const found of await Promise.all(scrapes)) expect(found.svc_comm_queue_messages).toBe(7);
    expect(asked).toBe(1);
    await page(meters);
    expect(asked).toBe(2);
    await meters.close();
  });
});

describe('a source that throws before it has a promise', () => {
  test('tells nothing then, and is asked again', async () => {
    let asked = 0;
    const meters = new Meters();
    meters.add(() => {
      asked += 1;
      if (asked === 1) throw new Error('not yet');
      return one();
    });
    expect(await page(meters)).toEqual({});
    expect(await page(meters)).toMatchObject({ svc_comm_queue_messages: 7 });
    await meters.close();
  });
});

describe('durations', () => {
  test('keep no more than a hundred types of errors apart, however many there are', async () => {
    const meters = new Meters();
    await meters.keepDurations();
    for (let i = 0; i < 1_000; i += 1) {
      meters.record('messaging.client.operation.duration', 1, {
        'messaging.operation.name': 'call',
        'messaging.destination.name': 'orders',
        'error.type': `ORDER_${i}`,
      });
    }
    const text = await meters.prometheus();
    expect(text.match(/^messaging_client_operation_duration_seconds_count/gm)).toHaveLength(101);
    expect(text).toMatch(/^messaging_client_operation_duration_seconds_count\{.*error_type="_OTHER".*\} 900$/m);
  });
});

describe('roles that are made again and again', () => {
  function made() {
    const meters = new Meters();
    onTestFinished(() => meters.close());
    const role = (received: number) => {
      const one = { state: 'running' as ServiceState, received, asked: 0 };
      const counts = () => part({ received: one.received, inFlight: 0, waiting: 0, ready: 1 });
      const source = async () => {
        one.asked += 1;
        return [];
      };
      const start = () => {
        one.state = 'running';
        meters.enter(one, { counts, source });
      };
      start();
      return Object.assign(one, { start });
    };
    const received = async () => (await page(meters)).svc_comm_consumer_received_total;
    return { meters, role, received };
  }

  test('are asked while they run and until another starts; what they counted stays counted', async () => {
    const { role, received } = made();
    const roles = [];
    for (let n = 0; n < 5; n += 1) {
      const one = role(10);
      one.state = 'idle';
      roles.push(one);
      expect(await received()).toBe(10 * (n + 1));
    }
    expect(roles.map(({ asked }) => asked)).toEqual([1, 1, 1, 1, 1]);
  });

  test('are not counted twice when one is started again, nor when it stops again', async () => {
    const { role, received } = made();
    const first = role(10);
    first.state = 'idle';
    const second = role(1);
    expect(await received()).toBe(11);
    first.start();
    first.received = 12;
    expect(await received()).toBe(13);
    first.state = 'idle';
    second.state = 'idle';
    role(100);
    expect(await received()).toBe(113);
    second.start();
    expect(await received()).toBe(113);
  });

  test('tell OpenTelemetry once what they counted before a close, when the service is used again after it', async () => {
    const { meters, role, received } = made();
    const first = role(10);
    await meters.close();
    expect(await known('svc_comm.consumer.received')).toEqual([10]);
    first.start();
    first.received = 12;
    expect(await known('svc_comm.consumer.received')).toEqual([12]);
    first.state = 'idle';
    role(5);
    expect(await known('svc_comm.consumer.received')).toEqual([17]);
    await Promise.all([meters.close(), meters.close()]);
    expect(await known('svc_comm.consumer.received')).toEqual([17]);
    role(1);
    expect(await known('svc_comm.consumer.received')).toEqual([18]);
    expect(await received()).toBe(18);
  });

  test('tell OpenTelemetry what they counted, also when the service was closed', async () => {
    const { meters, role } = made();
    role(10).state = 'idle';
    role(5);
    expect(await known('svc_comm.consumer.received')).toEqual([15]);
    await meters.close();
    expect(await known('svc_comm.consumer.received')).toEqual([15]);
  });
});
