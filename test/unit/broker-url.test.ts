import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parseBrokerUrls } from '../../src/broker/broker-url.ts';

const parsed = (url: string) => parseBrokerUrls(url)[0];

describe('a broker URL', () => {
  test('names host, port, user, virtual host and heartbeat', () => {
    const node = parsed('amqp://orders:s%40fe@rabbit.internal:5673/shop%2Feu?heartbeat=10');
    expect(node).toMatchObject({ hostname: 'rabbit.internal', port: 5673, username: 'orders', vhost: 'shop/eu' });
    expect(node.heartbeatSeconds).toBe(10);
    expect(node.connectOptions(30)).toMatchObject({ password: 's@fe', vhost: 'shop%2Feu', heartbeat: 10 });
  });

  test.each([
    ['amqp://localhost', 5672, 'guest', '/'],
    ['amqps://localhost', 5671, 'guest', '/'],
    ['amqp://localhost/', 5672, 'guest', '/'],
    ['amqp://localhost/%2F', 5672, 'guest', '/'],
    ['amqp://a:b@[::1]:1/v', 1, 'a', 'v'],
    ['amqp://a%40b:c@localhost/v%40w', 5672, 'a@b', 'v@w'],
  ])('%s has port %i, user %s and virtual host %s', (url, port, username, vhost) => {
    expect(parsed(url)).toMatchObject({ port, username, vhost });
  });

  test('keeps the heartbeat of 0, which turns it off, and takes the default where none is named', () => {
    expect(parsed('amqp://localhost?heartbeat=0').connectOptions(30).heartbeat).toBe(0);
    expect(parsed('amqp://localhost').connectOptions(30).heartbeat).toBe(30);
  });

  test('says of a certificate that it is who we are', () => {
    expect(parsed('amqps://localhost').isExternal).toBe(false);
    expect(parsed('amqps://localhost?auth_mechanism=EXTERNAL').isExternal).toBe(true);
    expect(parsed('amqp://localhost').tls).toBeUndefined();
  });

  test('takes each parameter once, and an authority in PEM only', () => {
    expect(() => parsed('amqp://localhost?heartbeat=5&heartbeat=9')).toThrow(/the parameter heartbeat once/);
    const noCertificate = fileURLToPath(import.meta.url);
    expect(() => parsed(`amqps://localhost?cacertfile=${noCertificate}`)).toThrow(/a certificate in PEM as cacertfile/);
  });

  test('lists each node of a cluster', () => {
    expect(parseBrokerUrls(['amqp://a', 'amqps://b']).map((node) => node.hostname)).toEqual(['a', 'b']);
    expect(() => parseBrokerUrls([])).toThrow(/at least one URL/);
  });

  test('shows its password in no text, however it is printed', () => {
    const node = parsed('amqp://orders:hunter2@rabbit/shop');
    expect(node.masked).toBe('amqp://orders:***@rabbit:5672/shop');
    for (const text of [String(node), JSON.stringify({ node }), inspect(node, { depth: 9, showHidden: true })]) {
      expect(text).not.toContain('hunter2');
    }
  });

  test.each([
    'http://u:hunter2@host',
    'amqp:/u:hunter2@host',
    'u:hunter2@host',
    'amqp://u:hunter2@host:99999',
    'amqp://u:hunter2%@host',
    'amqp://u:hunter2@host?heartbeat=soon',
    'amqp://u:hunter2@host?heartbeat=-1',
    'amqp://u:hunter2@host?password=hunter2',
    'amqps://u:hunter2@host?password=hunter2&keyfile=none.pem',
    'amqps://u:hunter2@host?pass=hunter2',
    // Passwords with a sign that must be percent-encoded: 12?hunter2, 12#hunter2, 12/hunter2.
    'amqp://u:12?hunter2@host',
    'amqp://u:12#hunter2@host',
    'amqp://u:12/hunter2@host',
    // The same behind what such a password, or a user with an "@", is read as: 2024/hunter2, 12@tenant/hunter2.
    'amqp://user@tenant:2024/hunter2@host',
    'amqp://u:12@tenant/hunter2@host',
    'amqp://u:12?heartbeat=hunter2@host',
    'amqp://u:12?auth_mechanism=hunter2@host',
    'amqps://u:12?verify=hunter2@host',
    'amqps://u@host?password=hunter2',
    '',
  ])('refuses %j with an error that does not show the password', (url) => {
    const error = (() => {
      try {
        parseBrokerUrls(url);
      } catch (thrown) {
        return thrown;
      }
      return undefined;
    })();
    expect(error).toMatchObject({ code: 'SVC_COMM_INVALID_ARGUMENT', argument: 'brokerUrl' });
    expect(inspect(error)).not.toContain('hunter2');
  });
});
