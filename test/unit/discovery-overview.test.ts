import { describe, expect, test } from 'vitest';
import { overviewText, serviceText } from '../../src/cli/commands/services-text.ts';
import { type Consumed, EMPTY_OFFER, type Offer, type Published } from '../../src/discovery/description.ts';
import { overviewOf } from '../../src/discovery/overview.ts';
import { Presence, type RoleReport } from '../../src/discovery/presence.ts';
import type { PresentInstance } from '../../src/discovery/roster.ts';

const content = { description: '', schema: undefined, output: undefined };
const consumed = (exchange: string | undefined, routingKey: string, changes: Partial<Consumed> = {}): Consumed => ({
  kind: 'event',
  exchange,
  routingKey,
  level: 'pattern',
  handler: 'onIt',
  ...content,
  ...changes,
});
const published = (exchange: string, routingKey: string, changes: Partial<Published> = {}): Published => ({
  kind: 'event',
  exchange,
  routingKey,
  isSeen: false,
  ...content,
  ...changes,
});

let instances = 0;
const instance = (name: string, offer: Partial<Offer> = {}, version = '1'): PresentInstance => {
  instances += 1;
  const binds = offer.consumes?.flatMap(({ exchange, routingKey }) =>
    exchange === undefined ? [] : [{ exchange, pattern: routingKey }],
  );
  return {
    instance: `i${instances}`,
    name,
    digest: `d${instances}`,
    everyMs: 10_000,
    failing: [],
    description: {
      ...EMPTY_OFFER,
      version,
      library: '1',
      host: 'here',
      pid: 1,
      since: `2026-01-01T00:00:0${instances % 10}.000Z`,
      roles: ['consumer'],
      queue: name,
      omitted: [],
      binds: binds ?? [],
      ...offer,
    },
  };
};
const unheardOf = (...present: PresentInstance[]) =>
  overviewOf(present, true).unheard.map(({ kind, exchange, routingKey }) => `${kind} ${exchange} ${routingKey}`);

describe('the overview of services', () => {
  test('knows which events nobody consumes, which commands nobody takes and which calls nobody answers', () => {
    const orders = instance('orders', {
      publishes: [
        published('order', 'create.base'),
        published('order', 'create.deep.base'),
        published('order', 'cancelled'),
        published('sms', 'send', { kind: 'command' }),
        published('pricing', 'quote', { kind: 'call' }),
      ],
    });
    const everything = ['event order cancelled', 'event order create.base', 'event order create.deep.base'];
    expect(unheardOf(orders)).toEqual([...everything, 'call pricing quote', 'command sms send']);
    const billing = instance('billing', { consumes: [consumed('order', 'create.*'), consumed('sms', '#')] });
    expect(unheardOf(orders, billing)).toEqual([
      'event order cancelled',
      'event order create.deep.base',
      'call pricing quote',
    ]);
  });

  test('counts only what a binding brings: a consumer without one takes nothing, and one of every exchange what comes', () => {
    const orders = instance('orders', { publishes: [published('order', 'a'), published('audit', 'b')] });
    const unbound = instance('unbound', { consumes: [consumed('order', 'a')], binds: [] });
    expect(unheardOf(orders, unbound)).toEqual(['event audit b', 'event order a']);
    const bound = instance('bound', { consumes: [], binds: [{ exchange: 'order', pattern: '#' }] });
    expect(unheardOf(orders, bound)).toEqual(['event audit b', 'event order a']);
    const all = instance('all', {
      consumes: [consumed(undefined, '#', { level: 'any' })],
      binds: [{ exchange: 'audit', pattern: '*' }],
    });
    expect(unheardOf(orders, all)).toEqual(['event order a']);
  });

  test('says who listens to what, each service once, however many instances it has', () => {
    const consumes = [consumed('order', 'create.*')];
    const { listeners, services } = overviewOf(
      [instance('a', { consumes }), instance('a', { consumes }), instance('b', { consumes })],
      true,
    );
    expect(listeners).toEqual([{ exchange: 'order', routingKey: 'create.*', kind: 'event', services: ['a', 'b'] }]);
    expect(services.map(({ name, instances: all }) => [name, all.length])).toEqual([
      ['a', 2],
      ['b', 1],
    ]);
  });

  test('puts the instances of a name together: several versions at once, the youngest of what they tell differently', () => {
    const old = instance('a', { publishes: [published('a', 'x', { isSeen: true, description: 'old' })] }, '1.0.0');
    const young = instance('a', { publishes: [published('a', 'x', { description: 'new' })] }, '1.1.0');
    const sick = { ...young, instance: 'sick', failing: ['consumer'] as const };
    const { services } = overviewOf([old, young, sick], false);
    expect(services).toMatchObject([
      {
        versions: ['1.0.0', '1.1.0'],
        isHealthy: false,
        publishes: [{ routingKey: 'x', isSeen: true, description: 'new' }],
      },
    ]);
    expect(services[0]?.publishes).toHaveLength(1);
  });

  test('counts those that have not told yet', () => {
    const unknown = { ...instance('a'), description: undefined };
    expect(overviewOf([unknown], true)).toMatchObject({
      undescribed: 1,
      services: [{ instances: [{ isDescribed: false }] }],
    });
  });

  test('is judged in short time, whatever somebody makes up', () => {
    const evil = Array.from({ length: 20 }, (_, n) =>
      instance(`evil${n}`, {
        consumes: Array.from({ length: 1_000 }, (_, m) => consumed('x', `#.a.#.b${n}.${m}.#`)),
        publishes: Array.from({ length: 2_000 }, (_, m) => published('x', `${'a.'.repeat(100)}${n}.${m}`)),
      }),
    );
    // What it takes of a processor: others are at work on this machine too.
    const before = process.cpuUsage();
    overviewOf(evil, true);
    expect(process.cpuUsage(before).user / 1_000).toBeLessThan(5_000);
  });

  test('is printed with what others say of themselves in its cell: no control character, no line of its own', () => {
    const evil = instance('e\u001b[2Jvil\nfake  1', {
      consumes: [consumed('a\u0007', 'b', { description: 'c\r\nd', handler: '\u009b31m' })],
      publishes: [published('p\u001b', 'q')],
      tasks: [{ name: 't\u0000', description: '\u001b]0;x\u0007', input: undefined }],
    });
    const overview = overviewOf([evil], true);
    const [service] = overview.services;
    if (!service) throw new Error('none');
    for (const text of [overviewText(overview), serviceText(service, overview.unheard)]) {
      expect(text).not.toMatch(/[^\P{Cc}\n]/u);
      expect(text.split('\n').filter((line) => line.startsWith('fake'))).toEqual([]);
    }
    expect(overviewText(overview)).toContain('nobody consumes');
    expect(overviewText(overviewOf([], true))).toContain('nobody is there');
  });
});

describe('a presence', () => {
  const report = (role: RoleReport['role'], offer: Partial<Offer>, isWorking = true): RoleReport => ({
    role,
    isWorking: () => isWorking,
    stamp: () => '1',
    offer: () => ({ ...EMPTY_OFFER, ...offer }),
  });
  const identity = { version: '1', library: '1', host: 'here', pid: 1, queue: 'orders' };

  test('tells of all roles of its process as one, each thing once', () => {
    const presence = new Presence('orders', identity);
    const task = { name: 't', description: '', input: undefined };
    presence.enter(report('worker', { tasks: [task], publishes: [published('order', 'taken')] }));
    const leave = presence.enter(report('consumer', { consumes: [consumed('order', 'taken')] }, false));
    presence.enter(report('server', { tasks: [task] }));
    expect(presence.describe()).toMatchObject({
      roles: ['worker', 'consumer', 'server'],
      tasks: [task],
      // Contracts are the process's: what the service takes itself is known to its consumer.
      publishes: [],
    });
    expect(presence.failing).toEqual(['consumer']);
    const before = presence.stamp;
    leave();
    leave();
    expect(presence.stamp).not.toBe(before);
    expect(presence.describe()).toMatchObject({ roles: ['worker', 'server'], publishes: [{ routingKey: 'taken' }] });
  });

  test('is spoken for by one, and by the next when that one goes', () => {
    const presence = new Presence('orders', identity);
    const speaker = () => ({ changes: 0, onChange: () => undefined });
    const [first, second] = [speaker(), speaker()];
    const leave = presence.join(first);
    presence.join(second);
    expect([presence.isSpeaker(first), presence.isSpeaker(second)]).toEqual([true, false]);
    leave();
    expect([presence.isSpeaker(first), presence.isSpeaker(second)]).toEqual([false, true]);
  });
});
