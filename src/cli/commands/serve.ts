import { randomBytes } from 'node:crypto';
import type { SvcCommService } from '../../assemble.ts';
import { InvalidArgumentError, MissingPackageError } from '../../errors.ts';
import type { HttpServer } from '../../http/server.ts';
import { group } from '../../lifecycle/group.ts';
import type { Logger } from '../../lifecycle/logger.ts';
import { Lifecycle, type Service } from '../../lifecycle/service.ts';
import type { Settings } from '../../settings/define.ts';
import type { ResolvedSettings } from '../../settings/resolved.ts';
import type { CommandContext } from '../context.ts';
import type { WholeProject } from '../project.ts';

export interface ServeOptions {
  readonly host?: string;
  readonly port?: number;
  /** Tells of messages too. */
  readonly docs?: boolean;
  /** Does all of the project's work in this process. */
  readonly all?: boolean;
  /** Makes a token when none is set. */
  readonly makeToken?: boolean;
}

const DOCS_PORT = 4000;
/** What a process that does everything needs, without a server beside it. */
const EMBEDDED = Object.freeze({ brokerUrl: 'embedded:', databaseUrl: 'embedded:' });

const defaultsOf = ({ docs, all }: ServeOptions): Settings => ({
  ...(docs ? { http: { port: DOCS_PORT } } : {}),
  ...(all ? EMBEDDED : {}),
});

/** The project's tasks and processes over HTTP, until a signal; with `all` the rest of its work too. */
export async function serve(
  context: CommandContext,
  { docs, all, makeToken, ...address }: ServeOptions,
): Promise<0 | 1> {
  const loaded = await context.loadSettings(defaultsOf({ docs: docs ?? false, all: all ?? false }));
  const token = loaded.http.token ?? (makeToken === true ? newToken(context) : undefined);
  const settings: ResolvedSettings = { ...loaded, http: { ...loaded.http, ...address, token } };
  const logger = await context.createLogger('server', settings);
  const { createService } = await import('../../assemble.ts');
  const { messageRouter, useAsDefault } = await import('../../default-service.ts');
  const { runService } = await import('../run-service.ts');
  const service = createService(loaded, { logger, messageRouter });
  useAsDefault(service);
  const project = await projectOf(settings, docs === true || all === true);
  assertNames(project);
  const roles = all === true ? rolesOf(service, project, logger) : [];
  const names = [
    ...project.taskRegistry.definitions.map(({ name }) => name),
    ...project.processRegistry.descriptions.map(({ id }) => id),
  ];
  const parts = [...roles, server(service, { settings, project, logger }), service.announcement('server')];
  return runService(group('server', parts), {
    logger,
    settings,
    readyText: `serving ${names.join(', ') || 'documentation'}`,
    close: () => service.close(),
  });
}

/** Shown this once, and kept nowhere: the next start makes another. */
function newToken(context: CommandContext): string {
  const token = randomBytes(32).toString('base64url');
  context.print({ token }, `token: ${token}\n(made for this start: set SVC_COMM_HTTP_TOKEN to choose it)`);
  return token;
}

/** Everything that the project registers; else tasks and processes, one of which there must be. */
async function projectOf(settings: ResolvedSettings, isWhole: boolean): Promise<WholeProject> {
  if (isWhole) return (await import('../project.ts')).loadProject(settings);
  const { loadTasks } = await import('../tasks.ts');
  const { messageRouter } = await import('../../default-service.ts');
  const { files, ...registries } = await loadTasks(settings, { preferSources: false });
  return { ...registries, messageRouter, taskFiles: files };
}

/** Paths of the server itself. */
const OWN_NAMES: ReadonlySet<string> = new Set(['docs', 'health', 'services', 'openapi.json', 'asyncapi.json']);

/** A process is served at its name, and so is a task. @throws InvalidArgumentError */
function assertNames({ taskRegistry, processRegistry }: WholeProject): void {
  for (const { id } of processRegistry.definitions) {
    if (taskRegistry.has(id))
      throw new InvalidArgumentError(`process ${id}`, 'an id that no task has', 'that of a task');
    if (OWN_NAMES.has(id)) throw new InvalidArgumentError(`process ${id}`, 'an id of its own', 'a path of the server');
  }
}

/** What of a project's work there is to do: it starts before the first request can ask for it. */
function rolesOf(service: SvcCommService, { messageRouter, taskFiles }: WholeProject, logger: Logger): Service[] {
  const onOutput = (chunk: Buffer) => void process.stdout.write(chunk);
  if (messageRouter.routes.length === 0) logger.info({}, 'nothing is consumed: the project has no consumers');
  return [
    service.relay(),
    ...(messageRouter.routes.length > 0 ? [service.consumer()] : []),
    ...(taskFiles.length > 0 ? [service.worker({ files: taskFiles, onOutput })] : []),
  ];
}

interface ServerParts {
  readonly settings: ResolvedSettings;
  readonly project: WholeProject;
  readonly logger: Logger;
}

function server(service: SvcCommService, parts: ServerParts): Lifecycle {
  let running: HttpServer | undefined;
  return new Lifecycle('HTTP server', {
    async start(signal) {
      // The database may be down, and waited for.
      const giveUp = () => void service.close();
      signal.addEventListener('abort', giveUp, { once: true });
      const made = await createServer(service, parts);
      running = made;
      await made.start();
      signal.removeEventListener('abort', giveUp);
      parts.logger.info({ url: made.url }, `listening on ${made.url}; for people: ${made.url}/docs`);
    },
    async stop() {
      await running?.stop();
    },
  });
}

async function createServer(service: SvcCommService, { settings, project, logger }: ServerParts): Promise<HttpServer> {
  const { HttpServer, docs, functionServer, health, processApi, services } = await loadDoor();
  const { leadPeopleToDocs } = await import('../../http/docs/home.ts');
  const { packageVersion } = await import('../../settings/project.ts');
  const { http, appId, worker, instances, brokerUrls, root, tests } = settings;
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
      leadPeopleToDocs(app);
      await app.register(health, { tasks });
      await app.register(services, { services: () => service.services() });
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
        tests: { root, tests },
      });
    },
  });
}

async function loadDoor(): Promise<typeof import('../../http-door.ts')> {
  try {
    return await import('../../http-door.ts');
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND';
    if (!isMissing) throw error;
    throw new MissingPackageError('svc-comm serve', ['fastify'], { cause: error });
  }
}
