import { close, transaction } from 'svc-comm';
import { OverMaxConcurrencyError, TaskRevokedError } from 'svc-comm/task';
import { addition, countPrimes, fragile, report } from './tasks.ts';

console.log('3 + 6 =', await addition.run({ x: 3, y: 6 }));

const counting = await Promise.all([countPrimes.start({ upTo: 20_000 }), countPrimes.start({ upTo: 100_000 })]);
console.log('primes:', ...(await Promise.all(counting.map((handle) => handle.result()))));

const written = await report.start({ lines: 3 });
for await (const event of written.events()) {
  if (event.kind === 'progress' && event.fraction === 1) console.log('progress:', event.note);
}
console.log('report:', await written.result());

const long = await report.start({ lines: 500 });
console.log('cancelled:', await long.cancel());
await long.result().catch((error) => console.log('its result:', error instanceof TaskRevokedError && error.code));

console.log('tried again:', await fragile.run({}));

// Submitted if and only if the transaction commits; one place, which the first of them takes.
await transaction(async () => {
  const handle = await addition.start({ x: 20, y: 22 });
  await addition.start({ x: 1, y: 1 }).catch((error) => {
    if (!(error instanceof OverMaxConcurrencyError)) throw error;
    console.log('refused:', error.code, error.maxConcurrency);
  });
  return handle;
}).then(async (handle) => console.log('after the commit:', await handle.result()));

await close();
