import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { InvalidTaskArgumentsError, OverMaxConcurrencyError, UnknownTaskError } from '../../errors.ts';
import type { ProcessDescription } from '../../process/description.ts';
import type { TaskDefinition } from '../../task/definition.ts';
import type { TaskHandle } from '../../task/handle.ts';
import type { TaskRecord } from '../../task/state.ts';
import { clientGone } from '../client-gone.ts';
import { guardScope } from '../guard/guard.ts';
import type { GuardOptions } from '../guard/options.ts';
import { openApi } from '../openapi/collector.ts';
import { assertPluginOptions } from '../plugin-options.ts';
import { pathPrefix } from '../prefix.ts';
import { answerError, HttpProblem } from '../problem.ts';
import { wholeNumber } from '../query.ts';
import { TaskAccess, type TaskAccessOptions } from '../task-access.ts';
import { definitionData, definitionsText, ENDPOINTS } from './listing.ts';
import { functionPaths } from './paths.ts';
import { argumentText, infoOf, listedInfoOf, resultOf, statusOf } from './task-info.ts';

export interface FunctionServerOptions extends TaskAccessOptions {
  /** Processes that are served beside it: `GET /` tells of them too, and in JSON whoever asks for that. @default none */
  readonly processes?: (() => Promise<readonly ProcessDescription[]>) | undefined;
  /** @default the guard of the scope around, else one with its defaults: this machine only */
  readonly guard?: GuardOptions | undefined;
}

type Named = FastifyRequest<{ Params: { name: string }; Querystring: Record<string, unknown> }>;
type OfTask = FastifyRequest<{ Params: { id: string } }>;

const NAMES = ['tasks', 'cancelWait', 'processes', 'guard'] as const satisfies readonly (keyof FunctionServerOptions)[];
const MOST_LISTED = 1000;

/**
 * Fastify plugin: every registered task as a function of its own URL, as restful-functions serves them; also those that
 * are registered later.
 * @example await app.register(functionServer, { prefix: '/functions' });
 */
export const functionServer: FastifyPluginAsync<FunctionServerOptions> = async (scope, options) => {
  assertPluginOptions('functionServer', options, NAMES);
  guardScope(scope, options.guard, answerFunctionError);
  const access = new TaskAccess(scope, options);
  const functions = new Functions(access);
  const prefix = pathPrefix(scope);
  const get = (path: string, handler: (request: never, reply: FastifyReply) => unknown) =>
    route(scope, 'GET', path, handler);
  const post = (path: string, handler: (request: never, reply: FastifyReply) => unknown) =>
    route(scope, 'POST', path, handler);

  const { processes = async () => [] } = options;
  get('/', async ({ headers }: FastifyRequest, reply) => {
    const beside = await processes();
    if (beside.length > 0 && headers.accept?.includes('application/json')) {
      return reply.send({ processes: beside, functions: (await functions.all()).map(definitionData) });
    }
    const paths = [...ENDPOINTS, ...beside.map(({ id }) => `/${id}`)].map((path) => prefix + path);
    return text(reply, `${paths.join('\n')}\n`);
  });
  get('/function/list/data', async () => (await functions.all()).map(definitionData));
  get('/function/list/text', async (_request, reply) => text(reply, definitionsText(await functions.all(), prefix)));
  get('/function/definition/:name', async ({ params }: Named) => definitionData(await functions.one(params.name)));
  get('/function/running-count/:name', async ({ params }: Named, reply) =>
    json(reply, await functions.runningCount(params.name)),
  );
  get('/task/info/:id', async (request: OfTask) => infoOf(await functions.record(request)));
  get('/task/done/:id', async (request: OfTask, reply) =>
    json(reply, statusOf((await functions.record(request)).state) !== 'RUNNING'),
  );
  get('/task/result/:id', async (request: OfTask, reply) => json(reply, resultOf(await functions.record(request))));
  get('/task/list/:name', (request: Named) => functions.list(request));
  post('/terminate/function/:name', async (request: Named) => {
    const { name } = await functions.one(request.params.name);
    await access.cancelAll(request, name);
    return {};
  });
  post('/terminate/task/:id', async (request: OfTask) => {
    await access.cancel((await functions.record(request)).id);
    return {};
  });
  post('/:name', async (request: Named) => {
    const handle = await functions.start(request);
    return handle === undefined ? functions.refusal(request) : { success: true, message: '', task_id: handle.id };
  });
  post('/:name/keep-connection', async (request: Named, reply) => {
    const handle = await functions.start(request);
    return handle === undefined ? functions.refusal(request) : functions.answerWithResult(reply, handle);
  });
  openApi(scope).add({ prefix, of: 'tasks', paths: async () => functionPaths(await functions.all()) });
};

/** With and without a slash at the end; which of the two is asked for makes no difference. */
function route(
  scope: FastifyInstance,
  method: 'GET' | 'POST',
  path: string,
  handler: (request: never, reply: FastifyReply) => unknown,
): void {
  // What a person finds at the server's name.
  const config = path === '/' ? { svcComm: { takesBasic: true } } : {};
  for (const url of path === '/' ? ['/'] : [path, `${path}/`]) {
    scope.route({ method, url, config, handler: async (request, reply) => handler(request as never, reply) });
  }
}

const text = (reply: FastifyReply, body: string): FastifyReply => reply.type('text/plain; charset=utf-8').send(body);
/** For what fastify would send as a text, or not at all. */
const json = (reply: FastifyReply, value: unknown): FastifyReply =>
  reply.type('application/json; charset=utf-8').send(JSON.stringify(value));

/** What the routes ask of the registered tasks. */
class Functions {
  readonly #access: TaskAccess;

  constructor(access: TaskAccess) {
    this.#access = access;
  }

  async all(): Promise<readonly TaskDefinition[]> {
    return (await this.#access.tasks()).definitions;
  }

  /** @throws UnknownTaskError */
  async one(name: string): Promise<TaskDefinition> {
    return (await this.#access.tasks()).registry.get(name).definition;
  }

  async record(request: OfTask): Promise<TaskRecord> {
    const record = await this.#access.find(request, request.params.id);
    if (!record) throw new HttpProblem(404, 'Task Not Found');
    return record;
  }

  /** Of all owners, since the limit is. @throws UnknownTaskError */
  async runningCount(name: string): Promise<number> {
    return (await this.#access.tasks()).runningCount(name);
  }

  async list(request: Named): Promise<object[]> {
    const { params, query } = request;
    const { name } = await this.one(params.name);
    const limit = wholeNumber(query.limit, 'limit', { fallback: 100, min: 1, max: MOST_LISTED });
    const offset = wholeNumber(query.offset, 'offset', { fallback: 0, min: 0 });
    const submitter = this.#access.submitterOf(request);
    const filter = { name, limit, offset, args: false, ...(submitter === undefined ? {} : { submitter }) };
    return (await (await this.#access.tasks()).list(filter)).map(listedInfoOf);
  }

  /** @returns undefined when it is over its limit */
  async start(request: Named): Promise<TaskHandle | undefined> {
    const { name } = await this.one(request.params.name);
    try {
      return await (await this.#access.tasks()).submit(name, request.body ?? {}, this.#access.defaultsOf(request));
    } catch (error) {
      if (error instanceof OverMaxConcurrencyError) return undefined;
      throw error;
    }
  }

  async refusal({ params }: Named): Promise<object> {
    const { maxConcurrency } = await this.one(params.name);
    return { success: false, message: `Over Max Concurrency ${maxConcurrency}`, task_id: '' };
  }

  /** The caller may go away meanwhile: the function runs on, as it would have without the connection. */
  async answerWithResult(reply: FastifyReply, handle: TaskHandle): Promise<FastifyReply> {
    reply.header('task-id', handle.id);
    const ended = await this.#access.ended(handle.id, { until: clientGone(reply) });
    if (ended === undefined) throw new HttpProblem(503, `the server stops; ask it later for task ${handle.id}`);
    const record = await handle.record();
    const result = resultOf(record);
    if (ended === 'SUCCESS') return json(reply, result);
    return json(reply.code(ended === 'TIMEOUT' ? 504 : 500), { error: result });
  }
}

/** `{"error": …}`, as restful-functions answers what is wrong with a request. */
function answerFunctionError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  if (error instanceof InvalidTaskArgumentsError) {
    void reply.code(400).send({ error: argumentText(error.problems) });
  } else if (error instanceof UnknownTaskError) {
    void reply.code(404).send({ error: `Function Not Found: ${error.taskName.slice(0, 100)}` });
  } else if (error instanceof HttpProblem && error.statusCode === 404) {
    void reply.code(404).send({ error: error.message });
  } else answerError(error, request, reply);
}
