import { chmodSync, chownSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createService } from '../../src/assemble.ts';
import { eventually } from '../support/eventually.ts';
import { type OwnPostgres, startOwnPostgres } from '../support/own-servers.ts';
import { postgresUser } from '../support/servers/binaries.ts';
import { testBrokerUrl, uniqueName } from '../support/servers.ts';

const pem = (name: string) => fileURLToPath(new URL(`../support/tls/${name}`, import.meta.url));

let postgres: OwnPostgres;
let folder: string;

beforeAll(async () => {
  // PostgreSQL takes a key that nobody else can read, and its own user must.
  folder = mkdtempSync(join(tmpdir(), 'svc-comm-tls-'));
  const user = await postgresUser();
  const [cert, key] = ['server.pem', 'server.key'].map((name) => {
    const copy = join(folder, name);
    copyFileSync(pem(name), copy);
    // Git keeps no modes but that of programs.
    chmodSync(copy, 0o600);
    if (user) chownSync(copy, user.uid, user.gid);
    return copy;
  });
  if (user) chownSync(folder, user.uid, user.gid);
  postgres = await startOwnPostgres({
    fsync: false,
    settings: { ssl: 'on', ssl_cert_file: cert ?? '', ssl_key_file: key ?? '' },
  });
});
afterAll(async () => {
  await postgres?.remove();
  rmSync(folder, { recursive: true, force: true });
});

const url = (parameters: Record<string, string>, host = 'localhost') =>
  `postgres://postgres@${host}:${postgres.port}/postgres?${new URLSearchParams(parameters)}`;

describe('a database behind TLS', () => {
  test('is reached so by every connection of ours: pool, relay and listener', async () => {
    const appId = uniqueName('tls');
    const databaseUrl = url({ sslmode: 'verify-full', sslrootcert: pem('authority.pem') });
    const service = createService({ appId, brokerUrl: testBrokerUrl(), databaseUrl, logLevel: 'silent' });
    onTestFinished(() => service.close());
    await service.migrate();
    await service.relay().start();
    await service.transaction(async (trx) => trx.raw('SELECT 1'));
    const client = new Client({ connectionString: postgres.url });
    await client.connect();
    onTestFinished(() => client.end());
    const ours = async () => {
      const { rows } = await client.query<{ ssl: boolean }>(
        'SELECT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name LIKE $1',
        [`${appId}%`],
      );
      return rows;
    };
    // The one that listens is made while the relay works already.
    await eventually('all are connected', async () => (await ours()).length >= 5);
    expect((await ours()).filter(({ ssl }) => !ssl)).toEqual([]);
  });

  test('whose authority is not known, or whose certificate is for another name, is not talked to', async () => {
    const refused = async (databaseUrl: string) => {
      const service = createService({
        appId: 'tls',
        brokerUrl: testBrokerUrl(),
        databaseUrl,
        logLevel: 'silent',
        wait: false,
      });
      onTestFinished(() => service.close());
      const error = await service.migrate().then(
        () => undefined,
        (thrown: Error) => thrown,
      );
      return error?.message;
    };
    const sslrootcert = pem('authority.pem');
    expect(await refused(url({ sslmode: 'verify-full', sslrootcert: pem('stranger.pem') }))).toMatch(/certificate/);
    expect(await refused(url({ sslmode: 'verify-full', sslrootcert }, '127.0.0.1'))).toMatch(
      /127\.0\.0\.1.*cert|altnames/,
    );
  });
});
