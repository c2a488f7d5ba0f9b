/**
 * How much longer a call takes than a plain timer of the time that it should take, set in the same turn: what a busy
 * machine adds, it adds to both.
 */
export async function late<T>(
  plainMs: number,
  call: () => Promise<T>,
): Promise<{ value: T; ms: number; lateMs: number }> {
  const started = performance.now();
  const took = () => performance.now() - started;
  const plain = new Promise((resolve) => setTimeout(resolve, plainMs)).then(took);
  const value = await call();
  const ms = took();
  return { value, ms, lateMs: ms - (await plain) };
}
