import { InvalidConsumerError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service } from '../lifecycle/service.ts';
import { messageRouter } from '../router/default-router.ts';
import { describeOrigin } from '../router/route.ts';
import type { MessageRouter } from '../router/router.ts';
import { routedBy, type StartedTopologySpec } from '../settings/parts.ts';

/**
 * Looks at a consumer's registrations before it takes its first message: what no handler takes is acked, and gone. A
 * service has a router of its own unless it is given one; what `@messageRouter.consumer` of the package registers is on
 * another.
 * @param spec is bound to what is registered now, until the next start
 * @throws InvalidConsumerError at the start, when all is registered on the other
 */
export function registrations(router: MessageRouter, spec: StartedTopologySpec, logger: Logger): Service {
  const start = async () => {
    spec.renew();
    const isForgotten = router !== messageRouter && isEmpty(router) && !isEmpty(messageRouter);
    if (isForgotten) {
      throw new InvalidConsumerError(
        "this service's messageRouter has no consumers",
        "they are registered on the package's, and every message would be acked without them: " +
          'createService(settings, { messageRouter }), or register them with service.messageRouter',
      );
    }
    const consumers = router.unregistered();
    if (consumers.length > 0) {
      logger.warn(
        { consumers },
        'decorated instance methods whose class was not registered before the start: they get no messages; ' +
          'call messageRouter.register(new …) first',
      );
    }
    const unbound = router.unbound(routedBy(spec));
    if (unbound.length > 0) {
      logger.warn(
        { consumers: unbound.map(describeOrigin), binds: spec.binds },
        `the setting binds brings these consumers nothing: unless queue ${spec.queue.name} is bound by hand, they get no ` +
          'messages; add their exchanges and patterns to it, or leave it out, and the queue is bound for every consumer',
      );
    }
  };
  return new Lifecycle('registrations', { start, stop: async () => undefined });
}

const isEmpty = (router: MessageRouter): boolean => router.routes.length === 0 && router.unregistered().length === 0;
