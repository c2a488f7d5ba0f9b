import { sleep } from '../util/sleep.ts';
import type { ServiceHooks } from './service.ts';

export interface Repeated {
  /** It rejects for nothing that can be tried again: what fails here is the end of it. */
  readonly work: (signal: AbortSignal) => Promise<void>;
  /** Milliseconds between the end of one and the beginning of the next. */
  readonly everyMs: () => number;
  /** Whether a start waits for the first one. @default false */
  readonly isFirstAwaited?: boolean;
}

/** What a service does that does the same again and again, from its start on; its stop waits for what is under way. */
export function repeating({ work, everyMs, isFirstAwaited = false }: Repeated): ServiceHooks {
  let end = new AbortController();
  let loop: Promise<void> = Promise.resolve();
  const repeat = async (first: Promise<void>, signal: AbortSignal) => {
    await first;
    for (;;) {
      await sleep(everyMs(), signal);
      if (signal.aborted) return;
      await work(signal);
    }
  };
  return {
    async start() {
      end = new AbortController();
      const first = work(end.signal);
      loop = repeat(first, end.signal);
      if (isFirstAwaited) await first;
    },
    async stop() {
      end.abort();
      await loop;
    },
  };
}
