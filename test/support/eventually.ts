/** Looks again until it holds: for conditions of other processes, which signal nothing. @throws after the time */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  withinMs = 60_000,
): Promise<T> {
  const end = performance.now() + withinMs;
  for (;;) {
    const seen = await look().catch((error: unknown) => {
      if (performance.now() > end) throw error;
      return undefined;
    });
    if (seen !== undefined && seen !== false) return seen;
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
