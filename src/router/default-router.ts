import { announceRegistry, foundElsewhere } from '../util/other-copies.ts';
import { describeOrigin } from './route.ts';
import { MessageRouter } from './router.ts';

/** Records the consumers of this process. Asks for no settings: files that use it can be imported anywhere. */
export const messageRouter = new MessageRouter();
announceRegistry('consumer', import.meta.url, () => messageRouter.routes.map(describeOrigin));

/** A consumer that was registered on the router of another copy of this package, and which copy. */
export const consumerElsewhere = () => foundElsewhere('consumer', import.meta.url);
