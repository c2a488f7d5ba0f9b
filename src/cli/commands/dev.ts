import { NoConsumersError } from '../../errors.ts';
import { group } from '../../lifecycle/group.ts';
import type { Service } from '../../lifecycle/service.ts';
import type { ResolvedSettings } from '../../settings/resolved.ts';
import type { CommandContext } from '../context.ts';

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
  const roles = [await publisherRole(context, settings), await consumerRole(context, settings)];
  const running = roles.filter((role) => role !== undefined);
  const main = group(
    'dev',
    running.map(({ service }) => service),
  );
  return runService(main, {
    logger,
    settings,
    readyText: `running: ${running.map(({ text }) => text).join('; ')}`,
    onReady: child.tellStarted,
    close: async () => void (await Promise.all(running.map(({ close }) => close()))),
  });
}

interface Role {
  readonly service: Service;
  readonly text: string;
  readonly close: () => Promise<void>;
}

async function publisherRole(context: CommandContext, settings: ResolvedSettings): Promise<Role> {
  const { createService } = await import('../../assemble.ts');
  const logger = await context.createLogger('publisher', settings);
  const made = createService(settings, { logger, canHost: false });
  return { service: made.relay(), text: 'publishing from the outbox', close: () => made.close() };
}

/** @returns undefined when the project has no consumers yet */
async function consumerRole(context: CommandContext, settings: ResolvedSettings): Promise<Role | undefined> {
  const { createService } = await import('../../assemble.ts');
  const { messageRouter, useAsDefault } = await import('../../default-service.ts');
  const { consumerGlobs, loadRouter } = await import('../consumers.ts');
  const { globFolders } = await import('../dev/glob-folders.ts');
  const { tellWatched } = await import('../dev/child.ts');
  const search = { preferSources: true };
  tellWatched(globFolders(settings.root, consumerGlobs(settings, search)));
  const logger = await context.createLogger('consumer', settings);
  const made = createService(settings, { logger, messageRouter, canHost: false });
  useAsDefault(made);
  try {
    const router = await loadRouter(settings, search);
    const text = `consuming from queue ${settings.queue.name} with ${router.routes.length} consumers`;
    return { service: made.consumer(), text, close: () => made.close() };
  } catch (error) {
    if (!(error instanceof NoConsumersError)) throw error;
    logger.warn({}, `nothing is consumed: ${error.message}`);
    return undefined;
  }
}
