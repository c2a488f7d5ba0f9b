import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AckCoalescer } from '../../src/broker/ack-coalescer.ts';

/** The broker's side: what is unsettled, by the rules that make it close the channel with 406. */
class Broker {
  readonly unsettled = new Set<number>();
  readonly acked: number[] = [];
  frames = 0;

  ack(tag: number, isMultiple: boolean): void {
    this.frames += 1;
    if (!this.unsettled.has(tag)) throw new Error(`406 unknown delivery tag ${tag}`);
    for (const each of [...this.unsettled]) {
      if (each === tag || (isMultiple && each < tag)) {
        this.unsettled.delete(each);
        this.acked.push(each);
      }
    }
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: 'deliver' as const }) },
  { weight: 4, arbitrary: fc.nat().map((pick) => ({ kind: 'finish' as const, pick })) },
  { weight: 1, arbitrary: fc.nat().map((pick) => ({ kind: 'reject' as const, pick })) },
  { weight: 2, arbitrary: fc.constant({ kind: 'flush' as const }) },
);

describe('coalesced acks', () => {
  test('settle every finished delivery once and no other, in whatever order they finish', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const broker = new Broker();
        const acks = new AckCoalescer((tag, isMultiple) => broker.ack(tag, isMultiple));
        const open: number[] = [];
        const finished = new Set<number>();
        let tag = 0;
        for (const next of steps) {
          if (next.kind === 'deliver') {
            open.push(++tag);
            broker.unsettled.add(tag);
            acks.delivered(tag);
          } else if (next.kind === 'flush') {
            acks.flush();
            expect(new Set(broker.acked)).toEqual(finished);
          } else if (open.length > 0) {
            const [picked = 0] = open.splice(next.pick % open.length, 1);
            if (next.kind === 'finish') {
              expect(acks.finished(picked)).toBe(true);
              expect(acks.finished(picked)).toBe(false);
              finished.add(picked);
            } else {
              expect(acks.rejected(picked)).toBe(true);
              broker.unsettled.delete(picked);
            }
          }
        }
        acks.flush();
        expect(broker.acked.toSorted((a, b) => a - b)).toEqual([...finished].toSorted((a, b) => a - b));
        expect([...broker.unsettled]).toEqual(open.toSorted((a, b) => a - b));
        expect(acks.unfinished).toBe(open.length);
      }),
      { numRuns: 500 },
    );
  });

  test('send one frame for a run that finished in one turn, and single ones above a slow delivery', () => {
    const frames: string[] = [];
    const acks = new AckCoalescer((tag, isMultiple) => frames.push(`${tag}${isMultiple ? '*' : ''}`));
    for (let tag = 1; tag <= 10; tag++) acks.delivered(tag);
    for (const tag of [3, 1, 2, 9, 6, 5, 8]) acks.finished(tag);
    acks.flush();
    expect(frames).toEqual(['3*', '9', '6', '5', '8']);
    for (const tag of [4, 7, 10]) acks.finished(tag);
    acks.flush();
    expect(frames.slice(5)).toEqual(['10*']);
  });

  test('go out by themselves at the end of the turn', async () => {
    const frames: number[] = [];
    const acks = new AckCoalescer((tag) => frames.push(tag));
    acks.delivered(1);
    acks.finished(1);
    expect(frames).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(frames).toEqual([1]);
  });
});
