import { describe, expect, it } from 'vitest';
import { SettingsError } from '../../src/errors.ts';
import type { Settings } from '../../src/settings/define.ts';
import { readEnvironment, variableName } from '../../src/settings/environment.ts';
import { resolveSettings } from '../../src/settings/resolve.ts';

const resolveWith = (environment: NodeJS.ProcessEnv, given: Settings = {}, options = {}) =>
  resolveSettings(
    { appId: 'orders', ...given },
    { from: 'file', environment: readEnvironment(environment), ...options },
  );

function problemsWith(environment: NodeJS.ProcessEnv, given: Settings = {}) {
  try {
    resolveWith(environment, given);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

describe('environment variables', () => {
  it('are named after the setting', () => {
    expect(variableName('brokerUrl')).toBe('SVC_COMM_BROKER_URL');
    expect(variableName('restApi.host')).toBe('SVC_COMM_REST_API_HOST');
    expect(variableName('limits.bodyBytes')).toBe('SVC_COMM_LIMITS_BODY_BYTES');
  });

  it('win over the file, each in its own form', () => {
    const settings = resolveWith(
      {
        SVC_COMM_BROKER_URL: 'amqp://other',
        SVC_COMM_PREFETCH: '7',
        SVC_COMM_RELAY_LISTEN: 'false',
        SVC_COMM_BINDS: '[["user","event.*"]]',
        SVC_COMM_HANDLER_TIMEOUT: '30',
        SVC_COMM_GRACE_PERIOD: '3s',
        SVC_COMM_REST_API_HOST: 'http://api.example.com',
        SVC_COMM_APP_ID: '42',
      },
      { prefetch: 1, brokerUrl: 'amqp://file' },
    );
    expect(settings).toMatchObject({
      brokerUrls: ['amqp://other'],
      prefetch: 7,
      relay: { listen: false },
      binds: [{ exchange: 'user', pattern: 'event.*' }],
      handlerTimeoutMs: 30_000,
      gracePeriodMs: 3000,
      restApi: { host: 'http://api.example.com' },
      appId: '42',
    });
  });

  it('that Kubernetes makes of Services called like us are none of ours', () => {
    const links = (service: string, port: string): NodeJS.ProcessEnv => ({
      [`${service}_SERVICE_HOST`]: '10.0.0.11',
      [`${service}_SERVICE_PORT`]: port,
      [`${service}_SERVICE_PORT_WEB_UI`]: port,
      [`${service}_PORT`]: `tcp://10.0.0.11:${port}`,
      [`${service}_PORT_${port}_TCP`]: `tcp://10.0.0.11:${port}`,
      [`${service}_PORT_${port}_TCP_PROTO`]: 'tcp',
      [`${service}_PORT_${port}_TCP_PORT`]: port,
      [`${service}_PORT_${port}_TCP_ADDR`]: '10.0.0.11',
    });
    const services = {
      ...links('SVC_COMM', '80'),
      ...links('SVC_COMM_MONITOR', '9464'),
      ...links('SVC_COMM_HTTP', '8080'),
    };
    expect(resolveWith(services)).toEqual(resolveWith({}));
    // What the container's own `env` says stands in the place of the Service's.
    expect(resolveWith({ ...services, SVC_COMM_MONITOR_PORT: '9999' }).monitor.port).toBe(9999);
  });

  it.each([
    ['SVC_COMM_MONITOR_PORT', 'tcp://10.0.0.11:9464'],
    ['SVC_COMM_RETRY_SERVICE_PORT', '1'],
    ['SVC_COMM_PORT_80_TCP', 'tcp://10.0.0.11:80'],
  ])('that only look like them are mistakes: %s', (variable, value) => {
    expect(problemsWith({ [variable]: value })).not.toEqual([]);
  });

  it('give several brokers as JSON', () => {
    const { brokerUrls } = resolveWith({ SVC_COMM_BROKER_URL: '["amqp://a","amqp://b"]' });
    expect(brokerUrls).toEqual(['amqp://a', 'amqp://b']);
  });

  it('set a whole object, and a member over it, whatever their order', () => {
    const settings = resolveWith({ SVC_COMM_RETRY_ATTEMPTS: '4', SVC_COMM_RETRY: '{"delays":["1s"],"attempts":2}' });
    expect(settings.retry).toMatchObject({ attempts: 4, delaysMs: [1000] });
  });

  it('set a member of a queue that the file gives by its name', () => {
    const { queue } = resolveWith({ SVC_COMM_QUEUE_SINGLE_ACTIVE_CONSUMER: 'true' }, { queue: 'q' });
    expect(queue).toMatchObject({ name: 'q', singleActiveConsumer: true });
  });

  it('takes of wait a duration beside true and false, and of nothing else', () => {
    expect(resolveWith({ SVC_COMM_WAIT: '30s' }, {}).wait).toBe(30_000);
    expect(resolveWith({ SVC_COMM_WAIT: 'true' }, { wait: false }).wait).toBe(true);
    expect(() => resolveWith({ SVC_COMM_WAIT: '30' }, {})).toThrow(/wait: expected true \| false \| a duration/);
  });

  it('give way to command-line options', () => {
    const options = [{ path: ['wait'], value: false, from: '--no-wait' }];
    expect(resolveWith({ SVC_COMM_WAIT: 'true' }, { wait: true }, { options }).wait).toBe(false);
  });

  it('are named as the origin of a wrong value, which does not blame the file', () => {
    expect(problemsWith({ SVC_COMM_PREFETCH: 'many' }, { prefetch: 3 })).toEqual([
      { setting: 'prefetch', expected: 'a whole number from 1 to 65535', got: '"many"', from: 'SVC_COMM_PREFETCH' },
    ]);
    expect(problemsWith({ SVC_COMM_RETRY_DELAYS: '["1s","soon"]' })).toMatchObject([
      { setting: 'retry.delays.1', got: '"soon"', from: 'SVC_COMM_RETRY_DELAYS' },
    ]);
  });

  it('that are no JSON where a list is wanted are errors', () => {
    expect(problemsWith({ SVC_COMM_EXCHANGES: 'user,audit' })).toMatchObject([
      { setting: 'exchanges', expected: expect.stringContaining('as JSON'), from: 'SVC_COMM_EXCHANGES' },
    ]);
  });

  it('that name no setting are errors which name the nearest', () => {
    expect(problemsWith({ SVC_COMM_BROKER_ULR: 'amqp://a' })).toMatchObject([
      { setting: 'SVC_COMM_BROKER_ULR', expected: 'the name of a setting (did you mean SVC_COMM_BROKER_URL?)' },
    ]);
    expect(problemsWith({ SVC_COMM_TRANSACTIONS: 'x' })).toHaveLength(1);
  });

  it('of the test suites, of the settings file and of others are left alone', () => {
    const environment = { SVC_COMM_TEST_BROKER_URL: 'x', SVC_COMM_CONFIG: 'x', OTHER: 'x', PATH: 'x' };
    expect(readEnvironment(environment)).toEqual({ overrides: [], problems: [] });
  });
});
