import { randomBytes } from 'node:crypto';
import type { SvcCommService } from '../../assemble.ts';
import { group } from '../../lifecycle/group.ts';
import type { Logger } from '../../lifecycle/logger.ts';
import type { Service } from '../../lifecycle/service.ts';
import type { Settings } from '../../settings/define.ts';
import type { ResolvedSettings } from '../../settings/resolved.ts';
import type { CommandContext } from '../context.ts';
import { boundedOutput } from '../output.ts';
import type { WholeProject } from '../project.ts';
import { assertNames, projectServer } from '../project-server.ts';

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

/** What a stop that is cut short leaves. */
const UNANSWERED = 'requests in flight have no answer; the tasks that they started go on';
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
  const { monitorOf, runService } = await import('../run-service.ts');
  const service = createService(loaded, { logger, messageRouter });
  useAsDefault(service);
  const project = await projectOf(settings, docs === true || all === true);
  assertNames(project);
  const roles = all === true ? rolesOf(service, project, logger) : [];
  const names = [
    ...project.taskRegistry.definitions.map(({ name }) => name),
    ...project.processRegistry.descriptions.map(({ id }) => id),
  ];
  const parts = [...roles, projectServer(service, { settings, project, logger }), service.announcement('server')];
  return runService(group('server', parts), {
    logger,
    settings,
    leftText: all === true ? `${UNANSWERED}, messages in flight will be delivered again` : UNANSWERED,
    readyText: `serving ${names.join(', ') || 'documentation'}`,
    monitor: monitorOf(service),
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

/** What of a project's work there is to do: it starts before the first request can ask for it. */
function rolesOf(service: SvcCommService, { messageRouter, taskFiles }: WholeProject, logger: Logger): Service[] {
  const onOutput = boundedOutput(process.stdout);
  if (messageRouter.routes.length === 0) logger.info({}, 'nothing is consumed: the project has no consumers');
  return [
    ...(messageRouter.routes.length > 0 ? [service.consumer()] : []),
    ...(taskFiles.length > 0 ? [service.worker({ files: taskFiles, onOutput })] : []),
    // The queues first: what waits in the outbox is for them.
    service.relay(),
  ];
}
