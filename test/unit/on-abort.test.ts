import { expect, test } from 'vitest';
import { onAbort } from '../../src/util/on-abort.ts';

test('a signal may be given to a hundred calls at once without a warning, and each hears of it once', async () => {
  const warnings: string[] = [];
  const onWarning = (warning: Error) => warnings.push(warning.name);
  process.on('warning', onWarning);
  const end = new AbortController();
  let heard = 0;
  for (let n = 0; n < 100; n++) onAbort(end.signal, () => heard++);
  // Warnings are told a tick later.
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', onWarning);
  end.abort();
  end.signal.dispatchEvent(new Event('abort'));
  expect({ warnings, heard }).toEqual({ warnings: [], heard: 100 });
});

test('a listener that was taken away is not called', () => {
  const end = new AbortController();
  let heard = 0;
  onAbort(end.signal, () => heard++)();
  end.abort();
  expect(heard).toBe(0);
});

test('without a signal there is nothing to hear', () => {
  expect(() => onAbort(undefined, () => undefined)()).not.toThrow();
});
