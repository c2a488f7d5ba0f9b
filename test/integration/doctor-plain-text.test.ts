import { expect, it } from 'vitest';
import { createService } from '../../src/assemble.ts';

async function plainText(brokerUrl: string, databaseUrl: string): Promise<string[]> {
  const service = createService({ appId: 'doctor', brokerUrl, databaseUrl, logLevel: 'silent' });
  try {
    return (await service.examine()).filter(({ code }) => code === 'plain-text').map(({ text }) => text);
  } finally {
    await service.close();
  }
}

it.each([
  [
    'amqp://u:p@broker.invalid',
    'postgres://u:p@db.invalid/x',
    ['plain text to the broker', 'plain text to the database'],
  ],
  ['amqps://u:p@broker.invalid', 'postgres://u:p@db.invalid/x?sslmode=disable', ['plain text to the database']],
  ['amqps://u:p@broker.invalid', 'postgres://u:p@db.invalid/x?sslmode=no-verify', ['TLS that verifies nobody']],
  [
    'amqps://u:p@broker.invalid',
    'postgres://u:p@db.invalid/x?uselibpqcompat=true&sslmode=require',
    ['TLS that verifies nobody'],
  ],
  ['amqps://u:p@broker.invalid', 'postgres://u:p@db.invalid/x?sslmode=verify-full', []],
  ['amqps://u:p@broker.invalid', 'postgres://u:p@db.invalid/x?sslmode=verify-full&sslrootcert=/nowhere.pem', []],
  ['amqp://u:p@127.0.0.1:1', 'postgres://u:p@localhost:1/x', []],
  ['amqp://u:p@[::1]:1', 'postgres://u:p@[::1]:1/x', []],
  ['amqp://u:p@localhost:1', 'postgres://u:p@%2Fnowhere/x', []],
])('doctor warns of what leaves the machine unprotected: %s, %s', async (brokerUrl, databaseUrl, expected) => {
  const found = await plainText(brokerUrl, databaseUrl);
  expect(found).toEqual(expected.map((text) => expect.stringContaining(text)));
  expect(found.join()).not.toContain('u:p@');
});

it('doctor shows no password of what leaves the machine unprotected, whatever ends a URL in other texts', async () => {
  const found = await plainText('amqp://svc@corp:a"SECRET@broker.invalid', 'postgres://app:my SECRET@db.invalid/x');
  expect(found).toHaveLength(2);
  expect(found.join()).not.toContain('SECRET');
});
