import { describe, expect, test } from 'vitest';
import {
  type Beat,
  encodeAnnouncement,
  encodeBeat,
  encodeDescription,
  MAX_ANNOUNCEMENT_BYTES,
} from '../../src/discovery/announcement.ts';
import { EMPTY_OFFER, type ServiceDescription } from '../../src/discovery/description.ts';
import { readAnnouncement, readBeat, readFields } from '../../src/discovery/read-notice.ts';

const beat: Beat = {
  protocol: 1,
  instance: '01890000-0000-7000-8000-000000000001',
  name: 'orders',
  digest: 'd',
  everyMs: 10_000,
  failing: [],
};
const description: ServiceDescription = {
  version: '1.2.3',
  library: '0.1.0',
  host: 'here',
  pid: 7,
  since: '2026-01-02T03:04:05.678Z',
  roles: ['consumer', 'worker'],
  queue: 'orders',
  omitted: [],
  binds: [{ exchange: 'order', pattern: '#' }],
  consumes: [
    {
      kind: 'event',
      exchange: 'order',
      routingKey: 'create.*',
      level: 'pattern',
      handler: 'Orders.onOrder',
      description: 'Placed',
      schema: { type: 'object' },
      output: undefined,
    },
  ],
  publishes: [
    {
      kind: 'call',
      exchange: 'pricing',
      routingKey: 'quote',
      isSeen: true,
      description: '',
      schema: { type: 'string' },
      output: { type: 'number' },
    },
  ],
  tasks: [{ name: 'addition', description: 'Adds', input: { type: 'object' } }],
  processes: [{ id: 'hello-world', name: 'Hello', description: '', tags: ['a'], input: { type: 'object' } }],
};

const through = (told: ServiceDescription) => {
  const bytes = encodeAnnouncement(beat, encodeDescription(told));
  return { bytes, read: readAnnouncement(readFields(bytes)) };
};

describe('an announcement', () => {
  test('is read as it was told', () => {
    expect(through(description).read).toEqual({ ...beat, description });
    expect(readBeat(readFields(encodeBeat(beat)))).toEqual(beat);
  });

  test('has the same digest for the same description, and another for another', () => {
    const { digest } = encodeDescription(description);
    expect(encodeDescription({ ...description })).toMatchObject({ digest });
    expect(encodeDescription({ ...description, version: '1.2.4' }).digest).not.toBe(digest);
  });

  test.each([
    ['schemas', 400, { schema: { description: 'x'.repeat(2_000) } }, ['schemas'], 400],
    ['descriptions', 400, { description: 'é'.repeat(1_000) }, ['schemas', 'descriptions'], 400],
    [
      'entries',
      2_000,
      { exchange: 'e'.repeat(255), handler: 'h'.repeat(255) },
      ['schemas', 'descriptions', 'what is beyond 300 of each kind'],
      300,
    ],
  ])('that is too long leaves out %s, says so, and fits', (_what, entries, changes, omitted, left) => {
    const [consumed] = description.consumes;
    if (!consumed) throw new Error('none');
    const consumes = Array.from({ length: entries }, (_, n) => ({ ...consumed, routingKey: `k${n}`, ...changes }));
    const { bytes, read } = through({ ...description, consumes });
    expect(bytes.byteLength).toBeLessThanOrEqual(MAX_ANNOUNCEMENT_BYTES);
    expect(read?.description.omitted).toEqual(omitted);
    expect(read?.description.consumes).toHaveLength(left);
  });

  test('fits with the longest names that there can be', () => {
    const name = '"'.repeat(255);
    const many = <T>(entry: T): T[] => Array.from({ length: 3_000 }, () => entry);
    const { bytes } = through({
      ...description,
      binds: many({ exchange: name, pattern: name }),
      consumes: many({
        kind: 'call-response',
        exchange: name,
        routingKey: name,
        level: 'exchange',
        handler: name,
        description: '',
        schema: undefined,
        output: undefined,
      }),
      publishes: many({
        kind: 'command',
        exchange: name,
        routingKey: name,
        isSeen: false,
        description: '',
        schema: undefined,
        output: undefined,
      }),
      tasks: many({ name: 'x'.repeat(100), description: '', input: undefined }),
      processes: many({ id: name, name, description: '', tags: [], input: {} }),
    });
    expect(bytes.byteLength).toBeLessThanOrEqual(MAX_ANNOUNCEMENT_BYTES);
  });

  test.each([
    ['nothing', {}],
    ['no instance', { name: 'orders' }],
    ['an instance that is no word of a routing key', { name: 'orders', instance: 'a.#' }],
    ['no name', { instance: beat.instance }],
  ])('of %s is nobody’s', (_what, fields) => {
    expect(readBeat(fields)).toBeUndefined();
    expect(readAnnouncement(fields)).toBeUndefined();
  });

  test('of a version to come is read in what is known of it; what has not its form counts as not said', () => {
    const read = readAnnouncement({
      ...beat,
      protocol: 99,
      everyMs: 1e9,
      failing: ['worker', 'oracle', 7],
      description: {
        roles: ['oracle', 'worker'],
        pid: -1,
        since: 'yesterday',
        version: 'v'.repeat(1_000),
        consumes: [
          null,
          { exchange: 'order' },
          { exchange: 'order', routingKey: 'a*' },
          { kind: 'prophecy', exchange: 'order', routingKey: 'a.*', level: 'dream', schema: [] },
        ],
        publishes: [{ kind: 'prophecy', exchange: 'order', routingKey: 'a' }, { kind: 'event' }],
        binds: 'order',
        tasks: [{ name: '' }, { name: 'addition' }],
        processes: [{}, { id: 'p', tags: [1, 't'] }],
      },
    });
    expect(read).toMatchObject({ protocol: 99, everyMs: 10_000, failing: ['worker'] });
    expect(read?.description).toMatchObject({
      roles: ['worker'],
      pid: 0,
      since: '',
      version: 'v'.repeat(100),
      consumes: [{ kind: 'raw', routingKey: 'a.*', level: 'pattern', schema: undefined }],
      publishes: [],
      binds: [],
      tasks: [{ name: 'addition' }],
      processes: [{ id: 'p', tags: ['t'] }],
    });
  });

  test.each([
    ['no JSON', 'orders'],
    ['too deep', `${'{"a":'.repeat(60)}1${'}'.repeat(60)}`],
    ['too long', `"${'x'.repeat(MAX_ANNOUNCEMENT_BYTES)}"`],
    ['of keys that reach a prototype', '{"__proto__":{"instance":"x"}}'],
  ])('that is %s is not read', (_what, body) => {
    expect(() => readFields(Buffer.from(body))).toThrow();
  });

  test('has so many entries of a list, whatever is said', () => {
    const consumes = Array.from({ length: 5_000 }, () => ({ routingKey: 'a' }));
    expect(readAnnouncement({ ...beat, description: { ...EMPTY_OFFER, consumes } })?.description.consumes).toHaveLength(
      2_000,
    );
  });
});
