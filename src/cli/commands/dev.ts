import { group } from '../../lifecycle/group.ts';
import type { CommandContext } from '../context.ts';
import type { DevRole } from '../dev/roles.ts';

/** Without these settings nothing needs to be installed. */
const DEFAULTS = Object.freeze({ brokerUrl: 'embedded:', databaseUrl: 'embedded:' });

/** Runs every role of the project in one process, on the embedded broker and database unless others are set. */
export async function dev(context: CommandContext): Promise<0 | 1> {
  if (!context.options.devChild) return (await import('../dev/run-dev.ts')).runDev(context, 'dev');
  const child = await import('../dev/child.ts');
  await child.waitForTurn(context.options);
  const settings = await context.loadSettings(DEFAULTS);
  child.askToServe(settings);
  const logger = await context.createLogger('dev', settings);
  const { runService } = await import('../run-service.ts');
  const { consumerRole, publisherRole, serverRole, workerRole } = await import('../dev/roles.ts');
  const publisher = await publisherRole(context, settings);
  const takers = [await consumerRole(context, settings), await workerRole(context, settings)];
  // After those that load what it serves.
  const server = await serverRole(context, settings);
  const isThere = (role: DevRole | undefined) => role !== undefined;
  const roles = [publisher, ...takers, server].filter(isThere);
  // The queues first: what waits in the outbox is for them.
  const inOrder = [...takers, publisher, server].filter(isThere).map(({ service }) => service);
  return runService(group('dev', inOrder), {
    logger,
    settings,
    readyText: `running: ${roles.map(({ text }) => text).join('; ')}`,
    onReady: child.tellStarted,
    close: async () => void (await Promise.all(roles.map(({ close }) => close()))),
  });
}
