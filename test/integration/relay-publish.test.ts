import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CONFIRMED, RecordingPipe, type RelayKit, relayKit, until } from '../support/relay-kit.ts';

let kit: RelayKit;
beforeAll(async () => {
  kit = await relayKit('relay_publish');
});
afterAll(() => kit.close());
const outbox = () => kit.db.count('svc_comm_outbox');
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
  await kit.db.pg.query(`TRUNCATE ${kit.db.table('svc_comm_outbox')}`);
});

async function started(pipe: RecordingPipe, options = {}) {
  const { relay } = kit.relay(pipe, options);
  stops.push(() => relay.stop());
  await relay.start();
  return relay;
}

describe('what a relay sends', () => {
  it('sends every row once, in commit order within a key, and deletes it after the confirm', async () => {
    const rows = Array.from({ length: 2000 }, (_, n) => ({ key: `k${n % 37}`, body: `{"n":${n}}` }));
    await kit.insert(rows);
    const pipe = new RecordingPipe();
    const relay = await started(pipe);
    await until('all is gone', async () => (await outbox()) === 0);
    expect(new Set(pipe.ids()).size).toBe(2000);
    expect(pipe.offers).toHaveLength(2000);
    const last = new Map<string, number>();
    for (const { message } of pipe.offers) {
      const key = String(message.properties.headers?.['svc-comm-key']);
      const { n } = JSON.parse(Buffer.from(message.body).toString());
      expect(n).toBeGreaterThan(last.get(key) ?? -1);
      last.set(key, n);
    }
    expect(relay.stats).toMatchObject({ published: 2000, deleted: 2000, fencedOut: 0, unknown: 0 });
  });

  it('keeps a row until its confirm, and publishes it again with the same id when the outcome is unknown', async () => {
    const pipe = new RecordingPipe();
    pipe.decide = () => undefined;
    const relay = await started(pipe);
    await kit.insert([
      { key: 'a', body: '1' },
      { key: 'a', body: '2' },
    ]);
    await until('one is offered', () => pipe.offers.length === 1);
    expect(await outbox()).toBe(2);
    pipe.decide = () => CONFIRMED;
    pipe.offers[0]?.settle({ kind: 'unknown', error: new Error('connection lost') });
    await until('all is gone', async () => (await outbox()) === 0);
    expect(pipe.bodies()).toEqual(['1', '1', '2']);
    expect(pipe.ids()[0]).toBe(pipe.ids()[1]);
    expect(relay.stats.unknown).toBe(1);
  });

  it('sends id, time, app id, key, properties and the body byte for byte', async () => {
    const body = '{"text":"žluťoučký \\u0000 \u{1F40E}"}';
    await kit.insert([
      {
        key: 'k',
        body,
        app: 'orders',
        properties: '{"correlationId":"c1","headers":{"x":1},"type":"t"}',
        expiresInMs: 30_000,
      },
    ]);
    const pipe = new RecordingPipe();
    await started(pipe);
    await until('it is offered', () => pipe.offers.length === 1);
    const message = pipe.offers[0]?.message;
    expect(Buffer.from(message?.body ?? []).toString()).toBe(body);
    expect(message).toMatchObject({ exchange: 'thing', routingKey: 'made' });
    expect(message?.properties).toMatchObject({
      contentType: 'application/json',
      deliveryMode: 2,
      correlationId: 'c1',
      type: 't',
      appId: 'orders',
      headers: { x: 1, 'svc-comm-key': 'k' },
    });
    expect(message?.properties.messageId).toMatch(/^[0-9a-f-]{36}$/);
    expect(Math.abs((message?.properties.timestamp ?? 0) - Date.now() / 1000)).toBeLessThan(5);
    const expiration = Number(message?.properties.expiration);
    expect(expiration).toBeGreaterThan(80_000);
    expect(expiration).toBeLessThanOrEqual(90_000);
  });

  it('does not send what is past its deadline, and sends a deadline too far for AMQP without one', async () => {
    await kit.insert([{ expiresInMs: -1 }, { body: 'far', expiresInMs: 4_294_967_295 }]);
    const pipe = new RecordingPipe();
    const relay = await started(pipe);
    await until('all is gone', async () => (await outbox()) === 0);
    expect(pipe.bodies()).toEqual(['far']);
    expect(pipe.offers[0]?.message.properties.expiration).toBeUndefined();
    expect(relay.stats).toMatchObject({ expired: 1, published: 1, deleted: 2 });
  });

  it('counts, deletes and warns once about rows that reach no queue', async () => {
    await kit.insert([{ body: '1' }, { body: '2' }]);
    const pipe = new RecordingPipe();
    pipe.decide = () => ({ kind: 'unroutable', error: new Error('no queue') });
    const relay = await started(pipe);
    await until('all is gone', async () => (await outbox()) === 0);
    expect(relay.stats).toMatchObject({ unroutable: 2, published: 0, deleted: 2 });
  });

  it("holds a row that reaches no queue when the policy is 'keep'", async () => {
    await kit.insert([{ key: 'a', body: '1' }]);
    const pipe = new RecordingPipe();
    pipe.decide = () => ({ kind: 'unroutable', error: new Error('no queue is bound') });
    await started(pipe, { unroutable: 'keep' });
    await until('the failure is recorded', () =>
      kit.db.count('svc_comm_outbox', "attempts = 1 AND last_error = 'no queue is bound'").then((n) => n === 1),
    );
    pipe.decide = () => CONFIRMED;
    await until('it goes when a queue is there', async () => (await outbox()) === 0);
    expect(pipe.bodies()).toEqual(['1', '1']);
  });

  it('burns no attempts while the broker is down, holds few rows, and goes on in order', async () => {
    const pipe = new RecordingPipe();
    pipe.isDown = true;
    const relay = await started(pipe, { batchSize: 100 });
    await kit.insert(Array.from({ length: 5000 }, (_, n) => ({ key: `k${n % 5}`, body: String(n) })));
    await until('some are read', () => relay.held > 0);
    expect(relay.held).toBeLessThan(4200);
    expect(pipe.offers).toHaveLength(0);
    pipe.isDown = false;
    await until('all is gone', async () => (await outbox()) === 0);
    expect(relay.stats).toMatchObject({ published: 5000, refused: 0, unknown: 0 });
    for (let key = 0; key < 5; key++) {
      const order = pipe
        .bodies()
        .map(Number)
        .filter((n) => n % 5 === key);
      expect(order).toEqual([...order].sort((a, b) => a - b));
    }
  });
});
