import { announceRouter } from './other-copies.ts';
import { MessageRouter } from './router.ts';

/** Records the consumers of this process. Asks for no settings: files that use it can be imported anywhere. */
export const messageRouter = new MessageRouter();
announceRouter(import.meta.url, messageRouter);
