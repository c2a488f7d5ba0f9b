import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { InFlight } from '../../src/consumer/in-flight.ts';
import { DEFAULT_JSON_LIMITS } from '../../src/wire/json.ts';

const message = (): InFlight =>
  new InFlight(
    {
      queue: 'orders',
      exchange: 'order',
      routingKey: 'create',
      redelivered: false,
      body: Buffer.from('{"eventId":"e-1","payload":{"id":7}}'),
      properties: {},
      lost: new AbortController().signal,
      ack: () => true,
      release: () => true,
    },
    DEFAULT_JSON_LIMITS,
  );

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

describe('a message whose run is over', () => {
  it.each([
    ['rests', 'resting'],
    ['is being settled', 'settling'],
    ['is settled', 'settled'],
  ] as const)('and that %s holds its bytes and not what was parsed of them', async (_what, state) => {
    const kept = message();
    kept.move('running');
    const parsed = new WeakRef(kept.body as object);
    kept.move(state);
    // A WeakRef holds what it refers to for the turn in which it was made.
    await new Promise(setImmediate);
    collect();
    expect(parsed.deref()).toBeUndefined();
    expect(kept.body).toEqual({ eventId: 'e-1', payload: { id: 7 } });
  });

  it('is as it came for who settles it, whatever its handler has made of the body', () => {
    const changed = message();
    changed.move('running');
    (changed.body as { eventId: string }).eventId = 'another';
    changed.move('settling');
    expect(changed.body).toMatchObject({ eventId: 'e-1' });
  });
});
