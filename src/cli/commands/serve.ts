import type { SvcCommService } from '../../assemble.ts';
import { MissingPackageError } from '../../errors.ts';
import type { HttpServer } from '../../http/server.ts';
import type { Logger } from '../../lifecycle/logger.ts';
import { Lifecycle } from '../../lifecycle/service.ts';
import type { ResolvedSettings } from '../../settings/resolved.ts';
import type { CommandContext } from '../context.ts';

export interface ServeOptions {
  readonly host?: string;
  readonly port?: number;
}

/** The project's tasks as functions over HTTP, until a signal. */
export async function serve(context: CommandContext, options: ServeOptions): Promise<0 | 1> {
  const settings = await context.loadSettings();
  const http = { ...settings.http, ...options };
  const { loadTasks } = await import('../tasks.ts');
  const logger = await context.createLogger('server', settings);
  const { createService } = await import('../../assemble.ts');
  const { useAsDefault } = await import('../../default-service.ts');
  const { runService } = await import('../run-service.ts');
  const service = createService(settings, { logger });
  useAsDefault(service);
  const project = await loadTasks(settings, { preferSources: false });
  const { definitions } = project.taskRegistry;
  const names = [...definitions.map(({ name }) => name), ...project.processRegistry.descriptions.map(({ id }) => id)];
  return runService(server(service, { ...settings, http }, logger), {
    logger,
    settings,
    readyText: `serving ${names.join(', ')}`,
    close: () => service.close(),
  });
}

function server(service: SvcCommService, settings: ResolvedSettings, logger: Logger): Lifecycle {
  let running: HttpServer | undefined;
  return new Lifecycle('HTTP server', {
    async start(signal) {
      // The database may be down, and waited for.
      const giveUp = () => void service.close();
      signal.addEventListener('abort', giveUp, { once: true });
      const made = await createServer(service, settings, logger);
      running = made;
      await made.start();
      signal.removeEventListener('abort', giveUp);
      logger.info({ url: made.url }, `listening on ${made.url}; for people: ${made.url}/docs`);
    },
    async stop() {
      await running?.stop();
    },
  });
}

async function createServer(
  service: SvcCommService,
  { http, appId, worker, instances }: ResolvedSettings,
  logger: Logger,
): Promise<HttpServer> {
  const { HttpServer, docs, functionServer, health, processApi } = await loadDoor();
  const { version } = await import('../version.ts');
  const tasks = await service.tasks();
  const processes = await service.processes();
  const cancelWait = worker.graceMs + 1000;
  const hasTasks = tasks.definitions.length > 0;
  const hasProcesses = processes.registry.definitions.length > 0;
  const { host, port, token, allowedHosts, rateLimit } = http;
  return new HttpServer({
    host,
    port,
    logger,
    guard: { token, allowedHosts, rateLimit },
    async register(app) {
      await app.register(health, { tasks });
      const { headers } = instances;
      if (hasTasks)
        await app.register(functionServer, {
          tasks,
          cancelWait,
          processes: async () => processes.registry.descriptions,
        });
      if (hasProcesses) {
        await app.register(processApi, { processes, cancelWait, headers, serves: hasTasks ? 'registered' : 'all' });
      }
      await app.register(docs, { title: appId, version: version() });
    },
  });
}

async function loadDoor(): Promise<typeof import('../../http-door.ts')> {
  try {
    return await import('../../http-door.ts');
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND';
    if (!isMissing) throw error;
    throw new MissingPackageError('svc-comm serve', ['fastify', '@fastify/swagger-ui'], { cause: error });
  }
}
