import { patience, pause } from './patience.ts';

/** Looks again until it holds: for conditions of other processes, which signal nothing. @throws when `patience` is over */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  withinMs = 60_000,
): Promise<T> {
  const isOver = patience(withinMs);
  const next = pause(25);
  for (;;) {
    const seen = await look().catch((error: unknown) => {
      if (isOver()) throw error;
      return undefined;
    });
    if (seen !== undefined && seen !== false) return seen;
    if (isOver()) throw new Error(`not within ${withinMs} ms: ${what}`);
    await next();
  }
}
