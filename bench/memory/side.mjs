// What both processes have: their orders, and how they tell their memory.
import { setTimeout as sleep } from 'node:timers/promises';

const CONCURRENCY = 20;

export const told = () => JSON.parse(process.argv[2]);

/** So many at once, the others wait. */
export function atOnce(handle) {
  const waiting = [];
  let running = 0;
  const next = () => {
    while (running < CONCURRENCY && waiting.length > 0) {
      running += 1;
      handle(waiting.shift()).finally(() => {
        running -= 1;
        next();
      });
    }
  };
  return (message) => {
    waiting.push(message);
    next();
  };
}

process.on('message', async () => {
  // Twice, with time between: what is freed by a finalizer goes with the second one.
  for (let i = 0; i < 2; i++) {
    globalThis.gc();
    await sleep(100);
  }
  const { rss, heapUsed } = process.memoryUsage();
  process.send({ rss, heapUsed });
});
process.once('disconnect', () => process.exit(0));
