import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { boundedOutput, patientOutput } from '../../src/cli/output.ts';

/** Who reads nothing until it is told to take what waits. */
function paused() {
  let taken = '';
  const waiting: (() => void)[] = [];
  const output = new Writable({
    highWaterMark: 10,
    decodeStrings: false,
    write(chunk, _encoding, done) {
      waiting.push(() => {
        taken += chunk;
        done();
      });
    },
  });
  output.on('error', () => undefined);
  const take = () => waiting.shift()?.();
  return { output, take, taken: () => taken };
}

/** Whether it is done when everything that was to be done at once is. */
async function isDone(promise: Promise<void> | undefined): Promise<boolean> {
  let done = promise === undefined;
  promise?.then(() => {
    done = true;
  });
  await new Promise(setImmediate);
  return done;
}

describe('what is printed for a reader that has paused', () => {
  it('is not done before the reader has taken enough, and nothing of it is left out', async () => {
    const { output, take, taken } = paused();
    const print = patientOutput(output);
    expect(print('one')).toBeUndefined();
    const [second, third] = [print('and two'), print('and three')];
    expect([await isDone(second), await isDone(third)]).toEqual([false, false]);
    take();
    expect([await isDone(second), await isDone(third)]).toEqual([false, false]);
    take();
    take();
    expect([await isDone(second), await isDone(third)]).toEqual([true, true]);
    expect(taken()).toBe('oneand twoand three');
    expect(print('four')).toBeUndefined();
    expect(output.listenerCount('drain')).toBe(0);
  });

  it.each([
    ['fails', (output: Writable) => output.destroy(new Error('EPIPE'))],
    ['closes', (output: Writable) => output.destroy()],
  ])('is done when it %s instead, and so is all that comes later', async (_what, end) => {
    const { output } = paused();
    const print = patientOutput(output);
    const printed = print('more than it has room for');
    expect(await isDone(printed)).toBe(false);
    end(output);
    expect(await isDone(printed)).toBe(true);
    expect(await isDone(print('for nobody'))).toBe(true);
  });

  it('is held up to 1 MiB when it comes from tasks, and left out from there on', () => {
    const { output } = paused();
    const pass = boundedOutput(output);
    for (let n = 0; n < 100; n += 1) pass(Buffer.alloc(100 * 1024));
    expect(output.writableLength).toBeGreaterThanOrEqual(1024 * 1024);
    expect(output.writableLength).toBeLessThan(1124 * 1024);
  });
});
