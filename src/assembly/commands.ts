import { OnDemandPublisher } from '../broker/on-demand-publisher.ts';
import { CommandSender } from '../command/command-sender.ts';
import { group } from '../lifecycle/group.ts';
import type { Service } from '../lifecycle/service.ts';
import type { Publisher } from '../message/publisher.ts';
import { nearestRoutes } from '../settings/nearest-routes.ts';
import { jsonLimits } from '../settings/parts.ts';
import type { Assembly } from './assembly.ts';
import { RouteHints } from './route-hints.ts';

export interface CommandsRole {
  /** Sends at once. */
  readonly publisher: Publisher;
  readonly commands: CommandSender;
  /** Started by the first command. */
  readonly service: Service;
}

/** What `sendCommand` runs on. */
export function assembleCommands(assembly: Assembly): CommandsRole {
  const { settings, logger, messageRouter } = assembly;
  const connection = assembly.connection('send');
  const publisher = assembly.publisher(connection);
  const service = group('sender', [connection, publisher]);
  const { timeoutMs } = settings.publish;
  const onDemand = new OnDemandPublisher({ publisher, service, connection, timeoutMs });
  const hint = (exchange: string) => nearestRoutes(exchange, settings, messageRouter.bindings());
  const hinting = new RouteHints(onDemand, hint);
  const commands = new CommandSender({
    publisher: hinting,
    inTransaction: (transaction, what) => assembly.outbox().bind(transaction, what, { isRequired: true }),
    isInTransaction: () => assembly.transactions.isMade && assembly.transactions().isInside,
    appId: settings.appId,
    timeoutMs,
    clock: assembly.clock(),
    clockKnown: () => assembly.clockKnown(),
    limits: jsonLimits(settings),
    telemetry: assembly.telemetry,
    logger,
  });
  return { publisher: hinting, commands, service };
}
