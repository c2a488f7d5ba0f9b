import { OnDemandPublisher } from '../broker/on-demand-publisher.ts';
import { ReplyQueue } from '../broker/reply-queue.ts';
import { CallSender } from '../call/call-sender.ts';
import { Caller } from '../call/caller.ts';
import { group } from '../lifecycle/group.ts';
import type { Service } from '../lifecycle/service.ts';
import type { Reply } from '../message/replies.ts';
import { nearestRoutes } from '../settings/nearest-routes.ts';
import { jsonLimits } from '../settings/parts.ts';
import type { Assembly } from './assembly.ts';
import { callReadings } from './readings.ts';
import { RouteHints } from './route-hints.ts';

export interface CallsRole {
  readonly caller: Caller;
  /** Started by the first call. */
  readonly service: Service;
}

const REPLIES = '.replies';
/** The Python peer keeps the exchange of an answer in a column of 64 characters. */
const MAX_APP_ID_CHARS = 64 - REPLIES.length;

/** Where callees that answer by message answer to: the same for all instances of the service. */
export const replyExchange = (appId: string): string => [...appId].slice(0, MAX_APP_ID_CHARS).join('') + REPLIES;

/** What `call` runs on. */
export function assembleCalls(assembly: Assembly): CallsRole {
  const { settings, logger, messageRouter } = assembly;
  const connection = assembly.connection('call');
  const replies = {
    onReply: (reply: Reply) => caller.onReply(reply),
    onLost: () => caller.onLost(),
  };
  const publisher = assembly.publisher(connection, { replies });
  const queue = new ReplyQueue({
    connection,
    exchange: replyExchange(settings.appId),
    declare: settings.declare === 'verify' ? 'verify' : 'create',
    onReply: (reply) => caller.onSharedReply(reply),
    logger,
  });
  const declares = settings.declare !== 'none';
  const service = group('caller', [connection, publisher, ...(declares ? [queue] : [])]);
  const onDemand = new OnDemandPublisher({ publisher, service, connection, timeoutMs: settings.publish.timeoutMs });
  const caller: Caller = new Caller({
    publisher: new RouteHints(onDemand, (name) => nearestRoutes(name, settings, messageRouter.bindings())),
    ready: async (timeoutMs, signal) => {
      const endsAtMs = performance.now() + timeoutMs;
      await onDemand.ready(timeoutMs, signal);
      if (!queue.isReady) await queue.ready(Math.max(1, Math.ceil(endsAtMs - performance.now())), signal);
    },
    replyExchange: () => queue.address,
    blockedReason: () => connection.blockedReason,
    appId: settings.appId,
    clock: assembly.clock(),
    clockKnown: () => assembly.clockKnown(),
    limits: jsonLimits(settings),
    telemetry: assembly.telemetry,
  });
  assembly.meters.add(() => callReadings(caller.stats));
  return { caller, service };
}

/** What `sendCall` runs on. */
export function assembleCallSender(assembly: Assembly): CallSender {
  return new CallSender({
    inTransaction: (transaction, what) => assembly.outbox().bind(transaction, what, { isRequired: true }),
    appId: assembly.settings.appId,
    clock: assembly.clock(),
    clockKnown: () => assembly.clockKnown(),
    limits: jsonLimits(assembly.settings),
    telemetry: assembly.telemetry,
  });
}
