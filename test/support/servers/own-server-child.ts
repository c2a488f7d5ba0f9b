/** A process that has a server of its own, and does not take it down: its test kills it. */
import { startOwnPostgres } from './own-postgres.ts';

const { url, home } = await startOwnPostgres();
process.send?.({ url, home });
setInterval(() => undefined, 60_000);
