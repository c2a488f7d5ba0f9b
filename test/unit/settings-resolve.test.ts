import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type SettingProblem, SettingsError } from '../../src/errors.ts';
import { readEnvironment } from '../../src/settings/environment.ts';
import { isResolvedSettings, resolveSettings, type SettingsSources } from '../../src/settings/resolve.ts';

function problemsOf(
  given: object,
  sources: SettingsSources = { from: 'svc-comm.config.ts' },
): readonly SettingProblem[] {
  try {
    resolveSettings({ appId: 'orders', ...given }, sources);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

const folder = mkdtempSync(join(tmpdir(), 'svc-comm-settings-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('resolved settings', () => {
  it('are complete with nothing but an appId given', () => {
    const settings = resolveSettings({ appId: 'orders' });
    expect(settings).toMatchObject({
      brokerUrls: ['amqp://guest:guest@localhost:5672'],
      databaseUrl: undefined,
      queue: { name: 'orders', type: 'quorum', singleActiveConsumer: false, arguments: {} },
      binds: undefined,
      retry: { attempts: 5, delaysMs: [1000, 5000, 30_000, 120_000], inPlaceMs: 10_000, keyed: 'park', crashes: 3 },
      pool: { max: 25 },
      inbox: { enabled: false, retentionMs: 604_800_000 },
      handlerTimeoutMs: 600_000,
      wait: true,
    });
    expect(isResolvedSettings(settings)).toBe(true);
    expect(isResolvedSettings({ appId: 'orders' })).toBe(false);
  });

  it('take the name of package.json for an appId that is left out, and the appId for the queue', () => {
    writeFileSync(join(folder, 'package.json'), '{ "name": "billing" }');
    expect(resolveSettings({}, { root: folder })).toMatchObject({ appId: 'billing', queue: { name: 'billing' } });
  });

  it('turn the inbox on with a database, and size the pool by the concurrency', () => {
    const settings = resolveSettings({ appId: 'a', databaseUrl: 'postgres://localhost/a', concurrency: 7 });
    expect(settings.inbox.enabled).toBe(true);
    expect(settings.pool.max).toBe(12);
    const open = <T>(work: (handle: unknown) => Promise<T>) => work(undefined);
    expect(resolveSettings({ appId: 'a', transactions: open }).inbox.enabled).toBe(true);
  });

  it('read short and long forms of queue, exchanges and binds', () => {
    const settings = resolveSettings({
      appId: 'a',
      queue: 'q',
      exchanges: ['user', ['audit', 'fanout']],
      binds: [['user', 'event.*'], 'audit'],
    });
    expect(settings.queue.name).toBe('q');
    expect(settings.exchanges).toEqual([
      { name: 'user', type: 'topic' },
      { name: 'audit', type: 'fanout' },
    ]);
    expect(settings.binds).toEqual([
      { exchange: 'user', pattern: 'event.*' },
      { exchange: 'audit', pattern: '#' },
    ]);
  });

  it('take several broker nodes', () => {
    const nodes = ['amqp://a', 'amqps://b:5671/vhost'];
    expect(resolveSettings({ appId: 'a', brokerUrl: nodes }).brokerUrls).toEqual(nodes);
  });

  it('cut default delays to the attempts, and let fewer given delays stand', () => {
    expect(resolveSettings({ appId: 'a', retry: { attempts: 3 } }).retry.delaysMs).toEqual([1000, 5000]);
    expect(resolveSettings({ appId: 'a', retry: { attempts: 1 } }).retry.delaysMs).toEqual([]);
    expect(resolveSettings({ appId: 'a', retry: { delays: ['2s'] } }).retry.delaysMs).toEqual([2000]);
  });

  it('read a bare number as seconds where the name ends in timeout', () => {
    const settings = resolveSettings({ appId: 'a', handlerTimeout: 90, publish: { timeout: 1.5 } });
    expect(settings).toMatchObject({ handlerTimeoutMs: 90_000, publish: { timeoutMs: 1500 } });
  });

  it('do not change what was given', () => {
    const given = Object.freeze({ appId: 'a', queue: 'q', retry: Object.freeze({ attempts: 2 }) });
    const environment = readEnvironment({ SVC_COMM_RETRY_ATTEMPTS: '3', SVC_COMM_QUEUE_TYPE: 'classic' });
    const settings = resolveSettings(given, { environment });
    expect(settings).toMatchObject({ retry: { attempts: 3 }, queue: { name: 'q', type: 'classic' } });
    expect(given).toEqual({ appId: 'a', queue: 'q', retry: { attempts: 2 } });
  });
});

describe('a wrong setting', () => {
  const long = 'x'.repeat(256);
  const api = { host: 'https://api.example.com/v2', authUrl: 'login', username: 'u', password: 'p' };
  const wrong: readonly [string, object, Partial<SettingProblem>][] = [
    [
      'a number as text',
      { prefetch: '10' },
      { setting: 'prefetch', expected: 'a whole number from 1 to 65535', got: '"10"' },
    ],
    ['a prefetch of 0', { prefetch: 0 }, { setting: 'prefetch', got: '0' }],
    ['a fraction', { concurrency: 1.5 }, { setting: 'concurrency', expected: 'a whole number ≥ 1', got: '1.5' }],
    ['NaN', { concurrency: Number.NaN }, { setting: 'concurrency', got: 'NaN' }],
    [
      'an unknown choice',
      { declare: 'maybe' },
      { setting: 'declare', expected: "'create' | 'verify' | 'none'", got: '"maybe"' },
    ],
    [
      'a duration without unit',
      { gracePeriod: 30 },
      { setting: 'gracePeriod', expected: "a duration with its unit, such as '30s'", got: '30' },
    ],
    ['an unreadable duration', { handlerTimeout: '10 minutes' }, { setting: 'handlerTimeout', got: '"10 minutes"' }],
    ['a timeout beyond what a timer holds', { handlerTimeout: '60d' }, { setting: 'handlerTimeout', got: '"60d"' }],
    ['a heartbeat of part seconds', { heartbeat: '1500ms' }, { setting: 'heartbeat', got: '"1500ms"' }],
    [
      'a broker URL of another protocol',
      { brokerUrl: 'http://localhost' },
      { setting: 'brokerUrl', got: '"http://localhost"' },
    ],
    ['an empty list of brokers', { brokerUrl: [] }, { setting: 'brokerUrl', got: '[]' }],
    [
      'several hosts of a database, with ports',
      { databaseUrl: 'postgres://a:5432,b:5432/orders?target_session_attrs=read-write' },
      { setting: 'databaseUrl', expected: expect.stringContaining('of one host') },
    ],
    [
      'several hosts of a database',
      { databaseUrl: 'postgres://a,b/orders' },
      { setting: 'databaseUrl', expected: expect.stringContaining('of one host') },
    ],
    [
      'several hosts of a database as a parameter',
      { databaseUrl: 'postgres:///orders?host=a,b' },
      { setting: 'databaseUrl', expected: expect.stringContaining('of one host') },
    ],
    [
      'a database URL whose password is cut at a slash',
      { databaseUrl: 'postgres://app:2024/c4n4ry@db/x' },
      { setting: 'databaseUrl', expected: expect.stringContaining('%2F'), got: '"postgres://***@db/x"' },
    ],
    ['a database that is no PostgreSQL', { databaseUrl: 'mysql://localhost/a' }, { setting: 'databaseUrl' }],
    [
      'an unknown exchange type',
      { exchanges: ['a', ['b', 'fanut']] },
      { setting: 'exchanges.1', got: '["b","fanut"]' },
    ],
    ['a bind that is no pair', { binds: [['a', 'b', 'c']] }, { setting: 'binds.0', got: '["a","b","c"]' }],
    ['exchanges that are no list', { exchanges: 'user' }, { setting: 'exchanges', got: '"user"' }],
    ['an exchange name over 255 bytes', { exchanges: [long] }, { setting: 'exchanges.0' }],
    ['a pattern over 255 bytes', { binds: [['user', long]] }, { setting: 'binds.0' }],
    ['a name with a line break', { appId: 'a\nb' }, { setting: 'appId', got: '"a\\nb"' }],
    ['an appId over 255 bytes', { appId: 'ü'.repeat(128) }, { setting: 'appId' }],
    ['a queue name that is the broker’s own', { queue: 'amq.mine' }, { setting: 'queue.name', got: '"amq.mine"' }],
    [
      'a queue name too long for its retry queues',
      { queue: 'x'.repeat(245) },
      { setting: 'queue.name', expected: 'a name of at most 242 bytes, since there is also "<queue>.retry.120000"' },
    ],
    [
      'a queue argument that is a setting',
      { queue: { arguments: { 'x-queue-type': 'classic' } } },
      { setting: 'queue.arguments.x-queue-type', expected: 'queue.type instead of this argument' },
    ],
    [
      'a delivery limit of a classic queue',
      { queue: { type: 'classic', deliveryLimit: 3 } },
      { setting: 'queue.deliveryLimit' },
    ],
    [
      'more delays than waits',
      { retry: { attempts: 2, delays: ['1s', '2s'] } },
      {
        setting: 'retry.delays',
        expected: 'at most 1 delays, one between each two of retry.attempts = 2',
        got: '["1s","2s"]',
      },
    ],
    ['no delay for several attempts', { retry: { delays: [] } }, { setting: 'retry.delays', got: '[]' }],
    ['a delay of 0', { retry: { delays: ['0s'] } }, { setting: 'retry.delays.0', got: '"0s"' }],
    ['a delay beyond x-message-ttl', { retry: { delays: ['1s', '50d'] } }, { setting: 'retry.delays.1', got: '"50d"' }],
    ['transactions that are no function', { transactions: 'knex' }, { setting: 'transactions', got: '"knex"' }],
    ['a schema that is no name', { schema: 'a"; drop' }, { setting: 'schema' }],
    [
      'a group that is no object',
      { retry: 5 },
      { setting: 'retry', expected: 'an object with attempts, delays, inPlace, keyed, crashes', got: '5' },
    ],
    ['an inbox without a database', { inbox: { enabled: true } }, { setting: 'databaseUrl', got: 'nothing' }],
    ['a REST API without a host', { restApi: {} }, { setting: 'restApi.host', got: 'nothing' }],
    [
      'a password without a username',
      { restApi: { host: 'http://a', authUrl: 'x', password: 'p' } },
      { setting: 'restApi.username' },
    ],
    [
      'an authUrl of another host',
      { restApi: { ...api, authUrl: 'https://auth.example.com/login' } },
      {
        setting: 'restApi.authUrl',
        expected: 'a path below https://api.example.com/v2/',
        got: '"https://auth.example.com/login"',
      },
    ],
    [
      'an authUrl that leads out of the base path',
      { restApi: { ...api, authUrl: '../login' } },
      { setting: 'restApi.authUrl', got: '"../login"' },
    ],
    [
      'an authUrl without a credential',
      { restApi: { host: 'http://a', authUrl: 'login' } },
      {
        setting: 'restApi.authUrl',
        expected: 'username and password, or credential, beside it, to be sent to this path',
        got: '"login"',
      },
    ],
    ...['https://me:secret@api.example.com', 'https://api.example.com?x=1', 'https://api.example.com#x'].map(
      (host): [string, object, Partial<SettingProblem>] => [
        `a REST API at ${host}`,
        { restApi: { ...api, host } },
        { setting: 'restApi.host', expected: 'an http:// or https:// URL without credentials, query and fragment' },
      ],
    ),
    ['null', { databaseUrl: null }, { setting: 'databaseUrl', got: 'null' }],
    ['an unknown name', { prefech: 3 }, { setting: 'prefech', expected: 'a known setting (did you mean prefetch?)' }],
    [
      'a member without its group',
      { attempts: 3 },
      { setting: 'attempts', expected: 'a known setting (did you mean retry.attempts?)' },
    ],
    [
      'an unknown member',
      { retry: { atempts: 3 } },
      { setting: 'retry.atempts', expected: 'a known setting (did you mean retry.attempts?)' },
    ],
  ];
  it.each(wrong)('is named with what it takes and what it got: %s', (_, given, problem) => {
    const problems = problemsOf(given);
    expect(problems).toEqual([expect.objectContaining({ from: 'svc-comm.config.ts', ...problem })]);
  });

  it('does not hide another: all are reported at once', () => {
    const problems = problemsOf({ prefetch: 0, retry: { attempts: 2, delays: ['1s', '1s'] }, colour: 'red' });
    expect(problems.map((problem) => problem.setting).toSorted()).toEqual(['colour', 'prefetch', 'retry.delays']);
  });

  it('is an error also when there is no name to take', () => {
    const [problem] = (() => {
      try {
        resolveSettings({}, { root: join(folder, 'none'), from: 'defaults' });
        return [];
      } catch (error) {
        return error instanceof SettingsError ? error.problems : [];
      }
    })();
    expect(problem).toMatchObject({ setting: 'appId', got: 'nothing' });
    expect(problem?.from).toContain('package.json');
  });
});
