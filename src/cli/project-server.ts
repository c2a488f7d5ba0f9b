import type { SvcCommService } from '../assemble.ts';
import { InvalidArgumentError, ListenError, MissingPackageError } from '../errors.ts';
import type { HttpServer } from '../http/server.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle } from '../lifecycle/service.ts';
import type { ResolvedSettings } from '../settings/resolved.ts';
import { onAbort } from '../util/on-abort.ts';
import { isMissingModule } from '../util/thrown.ts';
import type { WholeProject } from './project.ts';

/** Paths of the server itself. */
const OWN_NAMES: ReadonlySet<string> = new Set([
  'docs',
  'health',
  'metrics',
  'services',
  'openapi.json',
  'asyncapi.json',
]);

/** A process is served at its name, and so is a task. @throws InvalidArgumentError */
export function assertNames({ taskRegistry, processRegistry }: WholeProject): void {
  for (const { id } of processRegistry.definitions) {
    if (taskRegistry.has(id))
      throw new InvalidArgumentError(`process ${id}`, 'an id that no task has', 'that of a task');
    if (OWN_NAMES.has(id)) throw new InvalidArgumentError(`process ${id}`, 'an id of its own', 'a path of the server');
  }
}

export interface ServerParts {
  readonly settings: ResolvedSettings;
  readonly project: WholeProject;
  readonly logger: Logger;
  /** Takes a free port where the one that is set is taken. @default false */
  readonly takesOtherPort?: boolean;
}

/**
 * The project's tasks and processes over HTTP, asked for its readiness as the service's roles are.
 * @throws from `start`: MissingPackageError without fastify
 */
export function projectServer(service: SvcCommService, parts: ServerParts): Lifecycle {
  let running: HttpServer | undefined;
  const server = new Lifecycle('HTTP server', {
    async start(signal) {
      // The database may be down, and waited for. What goes wrong here goes wrong again when the service is closed.
      const forget = onAbort(signal, () => void service.close().catch(() => undefined));
      try {
        running = await startServer(service, parts, signal);
      } finally {
        forget();
      }
      const { url } = running;
      parts.logger.info({ url }, `listening on ${url}; for people: ${url}/docs`);
    },
    async stop() {
      // What a synchronous task of a process does then counts for nothing: its instance ends, and the request is answered.
      const late = setTimeout(() => void endInstances(service, parts.logger), parts.settings.gracePeriodMs);
      try {
        await running?.stop();
      } finally {
        clearTimeout(late);
      }
    },
  });
  service.addToReadiness(server);
  return server;
}

async function endInstances(service: SvcCommService, logger: Logger): Promise<void> {
  try {
    await (await service.processes()).stop();
  } catch (error) {
    logger.warn({ error }, 'process instances that run here could not be ended; their leases will end them');
  }
}

async function startServer(service: SvcCommService, parts: ServerParts, signal: AbortSignal): Promise<HttpServer> {
  const { settings, takesOtherPort, logger } = parts;
  const server = await createServer(service, parts, signal);
  try {
    await server.start();
    return server;
  } catch (error) {
    if (!(error instanceof ListenError && error.isTaken) || takesOtherPort !== true) throw error;
    logger.warn({ port: settings.http.port }, 'the port of the setting http.port is taken: listening on another');
    await server.stop();
    const http = { ...settings.http, port: 0 };
    return startServer(service, { ...parts, settings: { ...settings, http }, takesOtherPort: false }, signal);
  }
}

async function createServer(
  service: SvcCommService,
  { settings, project, logger }: ServerParts,
  signal: AbortSignal,
): Promise<HttpServer> {
  const { HttpServer, docs, functionServer, health, metrics, processApi, services } = await loadDoor();
  const { leadPeopleToDocs } = await import('../http/docs/home.ts');
  const { packageVersion } = await import('../settings/project.ts');
  const { exchangeTypes } = await import('../settings/parts.ts');
  const { http, appId, worker, instances, brokerUrls, root, tests } = settings;
  // A service that was closed starts again what it is asked for.
  signal.throwIfAborted();
  const tasks = await service.tasks();
  signal.throwIfAborted();
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
      leadPeopleToDocs(app);
      await app.register(health, { tasks });
      await app.register(services, { services: () => service.services() });
      await app.register(metrics, { metrics: () => service.prometheusMetrics() });
      const { headers } = instances;
      const descriptions = async () => processes.registry.descriptions;
      if (hasTasks) await app.register(functionServer, { tasks, cancelWait, processes: descriptions });
      if (hasProcesses) {
        await app.register(processApi, { processes, cancelWait, headers, serves: hasTasks ? 'registered' : 'all' });
      }
      if (!hasTasks && !hasProcesses) {
        app.get('/', { config: { svcComm: { takesBasic: true } } }, (_request, reply) => reply.redirect('/docs'));
      }
      await app.register(docs, {
        title: appId,
        version: packageVersion(root),
        tasks: project.taskRegistry,
        processes: project.processRegistry,
        messageRouter: project.messageRouter,
        brokerUrls,
        exchangeTypes: exchangeTypes(settings),
        tests: { root, tests },
      });
    },
  });
}

/** @throws MissingPackageError (SVC_COMM_MISSING_PACKAGE) */
export async function loadDoor(): Promise<typeof import('../http-door.ts')> {
  try {
    return await import('../http-door.ts');
  } catch (error) {
    if (!isMissingModule(error)) throw error;
    throw new MissingPackageError('svc-comm serve', ['fastify'], { cause: error });
  }
}
