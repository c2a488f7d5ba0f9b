import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { SettingsError } from '../../src/errors.ts';
import { readEnvironment } from '../../src/settings/environment.ts';
import { maskSettings, maskText } from '../../src/settings/mask.ts';
import { resolveSettings } from '../../src/settings/resolve.ts';

const CANARY = 'c4n4ry';

describe('credentials', () => {
  it('are hidden when settings are printed, given or resolved', () => {
    const given = {
      appId: 'orders',
      brokerUrl: [`amqp://user:${CANARY}@a`, `amqp://user:${CANARY}@b`],
      databaseUrl: `postgres://user:${CANARY}@localhost/orders?password=${CANARY}`,
      restApi: { host: 'http://api', authUrl: 'login', username: 'u', password: CANARY },
      http: { token: CANARY },
    };
    const others = [`amqp://a@b:${CANARY}@c`, `postgres://a:my ${CANARY}@c/d`, `postgres://a:"${CANARY}@c/d`];
    expect(inspect(maskSettings({ brokerUrl: others }))).not.toContain(CANARY);
    for (const settings of [given, resolveSettings(given)]) {
      const shown = maskSettings(settings);
      expect(inspect(shown, { depth: 9 })).not.toContain(CANARY);
      expect(shown).toMatchObject({
        appId: 'orders',
        restApi: { username: 'u', password: '***' },
        http: { token: '***' },
      });
    }
    expect(inspect(maskSettings({ restApi: { credential: { apiKey: CANARY } } }), { depth: 9 })).not.toContain(CANARY);
  });

  const api = { host: 'http://api', authUrl: 'login', username: 'u', password: CANARY };
  const refused: readonly [string, object, NodeJS.ProcessEnv][] = [
    ['a broker URL of the wrong protocol', { brokerUrl: `amq://user:${CANARY}@host` }, {}],
    ['a URL with an unescaped password', { brokerUrl: `amqp://user:a/b@${CANARY}@ho st` }, {}],
    ['a URL that lost its slashes', { databaseUrl: `postgres:user:${CANARY}@host/db` }, {}],
    ['a URL of the wrong protocol whose password has a space', { brokerUrl: `amq://user:my ${CANARY}@host` }, {}],
    ['a URL whose password is read as port and path', { databaseUrl: `postgres://app:2024/${CANARY}@db/x` }, {}],
    ['a URL whose password is read so, and has a space', { databaseUrl: `postgres://app:2024/a ${CANARY}@db/x` }, {}],
    ['a URL whose password is read so behind an @', { databaseUrl: `postgres://a@b:2024/${CANARY}@db/x` }, {}],
    ['a broker URL whose password is read so behind an @', { brokerUrl: `amqp://a@b:2024/${CANARY}@mq` }, {}],
    ['an API host whose password has a space', { restApi: { host: `http://user:my ${CANARY}@host` } }, {}],
    ['a list with one wrong URL', { brokerUrl: [`amqp://u:${CANARY}@a`, `http://u:${CANARY}@b`] }, {}],
    ['a DSN', { databaseUrl: `host=localhost user=me password=${CANARY}` }, {}],
    ['a URL in another setting', {}, { SVC_COMM_PREFETCH: `amqp://u:${CANARY}@host` }],
    ['a token of the wrong type', { http: { token: [CANARY] } }, {}],
    ['a password of the wrong type', { restApi: { host: 'http://a', password: { is: CANARY } } }, {}],
    ['a credential that is no JSON', {}, { SVC_COMM_REST_API_CREDENTIAL: `{"password":"${CANARY}"` }],
    ['an API object that is no JSON', {}, { SVC_COMM_REST_API: `{"host":"http://a","password":"${CANARY}"` }],
    ['an API host with a password', { restApi: { host: `http://user:${CANARY}@host` } }, {}],
    ['an API host with a token', { restApi: { host: `http://host/?token=${CANARY}` } }, {}],
    ['an authUrl with a password', { restApi: { ...api, authUrl: `https://user:${CANARY}@host/login` } }, {}],
    ['an API object as text', { restApi: `http://user:${CANARY}@host` }, {}],
    ['a secret under an unknown name', { apiToken: CANARY, secret: CANARY }, {}],
    ['a secret in queue arguments', { queue: { arguments: [{ password: CANARY }] } }, {}],
  ];
  it.each(refused)('are hidden in the error about %s', (_, given, environment) => {
    let error: unknown;
    try {
      resolveSettings({ appId: 'a', ...given }, { environment: readEnvironment(environment) });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(SettingsError);
    expect(inspect(error, { depth: 9 })).not.toContain(CANARY);
    expect(JSON.stringify(error)).not.toContain(CANARY);
  });

  it('are hidden in any text', () => {
    const url = `postgres://localhost/orders?user=me&password=${CANARY}`;
    expect(maskText(`got "${url}" for it`)).toBe('got "postgres://localhost/orders?user=me&password=***" for it');
    expect(maskText(`got "${url}"`)).toBe('got "postgres://localhost/orders?user=me&password=***"');
    expect(maskText(`got ${url}"${CANARY}, more`)).not.toContain(CANARY);
    expect(maskText(`no route to amqp://u:${CANARY}@host, password: ${CANARY}`)).not.toContain(CANARY);
    expect(maskText('plain: text, with = signs')).toBe('plain: text, with = signs');
  });
});
