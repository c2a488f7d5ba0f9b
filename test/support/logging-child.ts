/** A process that logs more than is kept for a standard error that takes nothing, then says that it is there. */
import { createLogger } from '../../src/lifecycle/logger.ts';

const logger = createLogger();
for (let n = 0; n < 300; n += 1) logger.info({ n, padding: 'x'.repeat(10_000) }, 'a line');
setImmediate(() => process.send?.('logged', () => process.disconnect()));
