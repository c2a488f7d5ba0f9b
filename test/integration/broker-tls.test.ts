import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createService } from '../../src/assemble.ts';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { BrokerTlsError } from '../../src/errors.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { eventually } from '../support/eventually.ts';
import { type OwnRabbit, startOwnRabbit } from '../support/own-servers.ts';
import { freePort } from '../support/servers/free-port.ts';

const pem = (name: string) => fileURLToPath(new URL(`../support/tls/${name}`, import.meta.url));

let rabbit: OwnRabbit;
let port: number;

beforeAll(async () => {
  port = await freePort();
  rabbit = await startOwnRabbit({
    plugins: ['rabbitmq_auth_mechanism_ssl'],
    config: {
      'listeners.ssl.1': `127.0.0.1:${port}`,
      'ssl_options.cacertfile': pem('authority.pem'),
      'ssl_options.certfile': pem('server.pem'),
      'ssl_options.keyfile': pem('server.key'),
      // Whose certificate is of the authority may say by it who they are; others give user and password.
      'ssl_options.verify': 'verify_peer',
      'ssl_options.fail_if_no_peer_cert': 'false',
      'auth_mechanisms.1': 'PLAIN',
      'auth_mechanisms.2': 'EXTERNAL',
      ssl_cert_login_from: 'common_name',
    },
  });
  await rabbit.ctl('add_user', 'orders', 'unknown to all');
  await rabbit.ctl('set_permissions', 'orders', '.*', '.*', '.*');
});
afterAll(async () => {
  await rabbit?.remove();
});

const url = (parameters: Record<string, string>, host = 'localhost') =>
  `amqps://guest:guest@${host}:${port}?${new URLSearchParams(parameters)}`;

/** Connects once. */
async function connected(brokerUrl: string): Promise<BrokerConnection> {
  const connection = new BrokerConnection({ name: 'tls test', url: brokerUrl, heartbeatMs: 0 });
  onTestFinished(() => connection.stop());
  await connection.start();
  return connection;
}

const failure = async (brokerUrl: string): Promise<Error> => {
  const thrown = await connected(brokerUrl).then(
    () => new Error('it connected'),
    (error: Error) => error,
  );
  expect(thrown).toBeInstanceOf(BrokerTlsError);
  expect(thrown).toMatchObject({ code: 'SVC_COMM_BROKER_TLS' });
  return thrown;
};

describe('a broker behind TLS', () => {
  test('is trusted by the authority that the URL names, and carries events', async () => {
    const brokerUrl = url({ cacertfile: pem('authority.pem') });
    const service = createService({ appId: 'tls', brokerUrl, logLevel: 'silent' });
    onTestFinished(() => service.close());
    const seen: unknown[] = [];
    service.messageRouter.consumer('tls', 'x')(eventConsumer(async (payload: unknown) => void seen.push(payload)));
    await service.consumer().start();
    await service.publishEventNow({ aggregate: 'tls', eventType: 'x', payload: 7 });
    await eventually('it has come', async () => seen.length === 1);
    expect(await rabbit.ctl('list_connections', 'ssl')).toMatch(/true/);
  });

  test('takes who we are from our certificate, with `auth_mechanism=external`', async () => {
    const ours = { certfile: pem('client.pem'), keyfile: pem('client.key') };
    await connected(url({ cacertfile: pem('authority.pem'), ...ours, auth_mechanism: 'external' }));
    await eventually('it has logged in as the name in the certificate', async () =>
      /orders/.test(await rabbit.ctl('list_connections', 'user')),
    );
  });

  test('takes a key that is locked, with its passphrase, which no error shows', async () => {
    const ours = { certfile: pem('client.pem'), keyfile: pem('client-locked.key') };
    const opened = { cacertfile: pem('authority.pem'), ...ours, auth_mechanism: 'external' };
    await connected(url({ ...opened, password: 'hunter2' }));
    const { message } = await failure(url({ ...opened, password: 'hunter3' }));
    expect(message).not.toMatch(/hunter/);
    expect(message).toMatch(/passphrase/);
  });

  test('reads the files again at each connection: certificates are renewed while a process runs', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'svc-comm-tls-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const cacertfile = join(folder, 'ca.pem');
    copyFileSync(pem('authority.pem'), cacertfile);
    const connection = await connected(url({ cacertfile }));
    copyFileSync(pem('stranger.pem'), cacertfile);
    await rabbit.closeAllConnections();
    await eventually('the wrong authority is refused', async () => connection.stats.failures > 0);
    copyFileSync(pem('authority.pem'), cacertfile);
    await eventually(
      'the renewed one is taken',
      async () => connection.current !== undefined && connection.stats.reconnects > 0,
    );
  });

  test('whose authority is not known is refused at once, and the error says how to name it', async () => {
    expect((await failure(url({}))).message).toMatch(/cacertfile=/);
    expect((await failure(url({ cacertfile: pem('stranger.pem') }))).message).toMatch(/cacertfile=/);
  });

  test('whose certificate is for another name is refused, unless the URL names it', async () => {
    const cacertfile = pem('authority.pem');
    expect((await failure(url({ cacertfile }, '127.0.0.1'))).message).toMatch(/server_name_indication=/);
    await connected(url({ cacertfile, server_name_indication: 'rabbit.test' }, '127.0.0.1'));
  });

  test('of which one node has a wrong certificate is reached by another: certificates are each its own', async () => {
    const cacertfile = pem('authority.pem');
    const connection = new BrokerConnection({
      name: 'tls test',
      url: [url({ cacertfile }, '127.0.0.1'), url({ cacertfile })],
      heartbeatMs: 0,
    });
    onTestFinished(() => connection.stop());
    await connection.start();
    expect(connection.current).toBeDefined();
  });

  test('of which one node has a wrong certificate and the others are down is waited for, and both are said', async () => {
    const down = `amqps://guest:guest@127.0.0.1:${await freePort()}`;
    const urls = [url({ cacertfile: pem('authority.pem') }, '127.0.0.1'), down];
    const connection = new BrokerConnection({ name: 'tls test', url: urls, heartbeatMs: 0, wait: false });
    onTestFinished(() => connection.stop());
    const thrown = await connection.start().catch((error: Error) => error);
    expect(thrown).toMatchObject({ code: 'SVC_COMM_BROKER_UNAVAILABLE' });
    expect(String(thrown)).toMatch(/server_name_indication=/);
    expect(String(thrown)).toMatch(/ECONNREFUSED/);
  });

  test('is not looked for on a port that speaks none', async () => {
    const { message } = await failure(`amqps://guest:guest@127.0.0.1:${rabbit.port}`);
    expect(message).toMatch(/speaks no TLS/);
  });

  test('that wants a certificate of ours says so', async () => {
    const strictPort = await freePort();
    const strict = await startOwnRabbit({
      config: {
        'listeners.ssl.1': `127.0.0.1:${strictPort}`,
        'ssl_options.cacertfile': pem('authority.pem'),
        'ssl_options.certfile': pem('server.pem'),
        'ssl_options.keyfile': pem('server.key'),
        'ssl_options.verify': 'verify_peer',
        'ssl_options.fail_if_no_peer_cert': 'true',
      },
    });
    onTestFinished(() => strict.remove());
    const base = `amqps://guest:guest@localhost:${strictPort}?cacertfile=${pem('authority.pem')}`;
    expect((await failure(base)).message).toMatch(/certfile=/);
    await connected(`${base}&certfile=${pem('client.pem')}&keyfile=${pem('client.key')}`);
  });
});

describe('a URL of a broker', () => {
  test('whose files cannot be read is a wrong setting, before anything is started', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'svc-comm-tls-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const missing = join(folder, 'none.pem');
    const make = (brokerUrl: string) => () => createService({ appId: 'tls', brokerUrl });
    expect(make(url({ cacertfile: missing }))).toThrow(
      /brokerUrl: expected a file that can be read as cacertfile.*ENOENT/,
    );
    writeFileSync(missing, 'x');
    expect(make(url({ certfile: missing }))).toThrow(/certfile and keyfile together/);
    expect(make(url({ cacert: missing }))).toThrow(/none but the parameters heartbeat, auth_mechanism, cacertfile/);
    expect(make(url({ verify: 'verify_none' }))).toThrow(/cannot be turned off/);
    expect(make(`amqp://localhost?cacertfile=${missing}`)).toThrow(/amqps:\/\/ for the parameter cacertfile/);
  });
});
