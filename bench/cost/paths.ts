import { randomUUID } from 'node:crypto';
import type { OutboxRow } from '../../src/outbox/relay-row.ts';
import { compiled } from '../compiled.ts';
import { EVENT_TYPE, fullPayload, sampleEvent } from '../event.ts';
import { consumePath } from './consume-path.ts';
import type { Path } from './ratio.ts';

const AGGREGATE = 'order';
const PATTERNS = 1_000;
const BATCH = 500;
/** Five rows of a batch each, which wait for one another. */
const KEYS = 100;

/** The parts of the hot paths that need neither broker nor database, each for one message. */
export async function paths(): Promise<Path[]> {
  return [
    await lookUp('router: a routing key seen before', 0.05, (n) => `type.${n % 1000}.created`),
    await lookUp('router: a routing key never seen', 0.35, (n) => `type.${n % 1000}.created.${n}`),
    await decodePath(),
    await encode(),
    await publish(),
    await lanes('relay lanes, no keys', undefined),
    await lanes('relay lanes, 100 keys', KEYS),
    await consumePath(),
  ];
}

async function lookUp(name: string, most: number, keyOf: (n: number) => string): Promise<Path> {
  const { MessageRouter } = await compiled('router/router');
  const router = new MessageRouter();
  for (let i = 0; i < PATTERNS; i++) router.consumer(AGGREGATE, `type.${i}.#`)(() => undefined);
  let n = 0;
  return {
    name,
    most,
    run(times) {
      for (let i = 0; i < times; i++) {
        if (!router.resolve(AGGREGATE, keyOf(n++))) throw new Error('no route');
      }
    },
  };
}

/** Of a consumed event: bytes to checked JSON, and the JSON to an event. */
export async function decodePath(): Promise<Path> {
  const { decodeJson } = await compiled('wire/json');
  const { decodeEvent } = await compiled('wire/event');
  const bytes = Buffer.from(sampleEvent(AGGREGATE));
  return {
    name: 'decode an event',
    most: 1.4,
    run(times) {
      for (let i = 0; i < times; i++) decodeEvent(decodeJson(bytes));
    },
  };
}

/** From what the user hands over to the row of the outbox. */
async function encode(): Promise<Path> {
  const { eventRow } = await compiled('outbox/event-row');
  const event = { aggregate: AGGREGATE, eventType: EVENT_TYPE, payload: fullPayload(AGGREGATE), key: 'k1' };
  return {
    name: 'encode an event',
    most: 1.8,
    run(times) {
      for (let i = 0; i < times; i++) eventRow(event, new Date(), 'bench');
    },
  };
}

/** From a row to what the client library is given. */
async function publish(): Promise<Path> {
  const { rowMessage } = await compiled('outbox/relay-row');
  const { checkMessage } = await compiled('broker/message-check');
  const rows = await outboxRows(KEYS);
  return {
    name: 'publish: a row to a message',
    most: 0.25,
    run(times) {
      for (let i = 0; i < times; i++) checkMessage(rowMessage(rows[i % BATCH] as OutboxRow, 0), 1024 * 1024);
    },
  };
}

async function lanes(name: string, keys: number | undefined): Promise<Path> {
  const { RelayLanes } = await compiled('outbox/relay-lanes');
  const rows = await outboxRows(keys);
  return {
    name,
    most: 0.08,
    run(times) {
      const relay = new RelayLanes({ laneLimit: 1000 });
      for (let done = 0; done < times; done += BATCH) {
        for (const row of rows) relay.add(row);
        for (let row = relay.next(); row; row = relay.next()) {
          relay.confirmed(row);
          relay.settled(row);
        }
        if (relay.size !== 0) throw new Error('rows were left');
      }
    },
  };
}

async function outboxRows(keys: number | undefined): Promise<OutboxRow[]> {
  const { LeaseGrant } = await compiled('outbox/lease-grant');
  const grant = new LeaseGrant(1, '1', Number.POSITIVE_INFINITY);
  const body = sampleEvent(AGGREGATE);
  return Array.from({ length: BATCH }, (_, id) => ({
    id,
    key: keys === undefined ? null : `k${(id * 7919) % keys}`,
    grant,
    messageId: randomUUID(),
    exchange: AGGREGATE,
    routingKey: EVENT_TYPE,
    body,
    properties: null,
    appId: 'bench',
    createdAt: 1_700_000_000,
    expiresAtMs: null,
    attempts: 0,
  }));
}
