/** A process with one service, for the signal tests: tells its parent when it runs and when it begins to stop. */
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { Lifecycle } from '../../src/lifecycle/service.ts';
import { runUntilSignal } from '../../src/lifecycle/signals.ts';

let hangs = false;
process.on('message', () => {
  hangs = true;
  process.send?.('will hang');
});
const service = new Lifecycle('child', {
  async start() {
    setTimeout(() => process.send?.('running'));
  },
  stop() {
    process.send?.('stopping');
    return hangs ? new Promise(() => undefined) : Promise.resolve();
  },
});
process.exit(await runUntilSignal(service, { logger: silentLogger, graceMs: 60_000 }));
