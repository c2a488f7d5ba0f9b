import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { SvcCommError } from 'svc-comm';
import { CsvTooLargeError, checkCsv, toCsv } from './csv.ts';
import { STATUSES, type Status, type Workflow } from './workflow.ts';
import type { Workflows } from './workflows.ts';

const UUID = { type: 'string', pattern: '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' } as const;
const BODY_LIMIT = 1024 * 1024;
/** What passes by itself: the client may come again. */
const TEMPORARY = [
  'SVC_COMM_BROKER_UNAVAILABLE',
  'SVC_COMM_DATABASE_UNAVAILABLE',
  'SVC_COMM_DATABASE_BUSY',
  'SVC_COMM_NOT_RUNNING',
];
/** PostgreSQL: jsonb and text hold no NUL, and no half of a surrogate pair. */
const UNSTORABLE = ['22P05', '22P02', '22021'];
/** What no message can carry: nested too deep, or with a key that reaches for a prototype. */
const UNSENDABLE = 'SVC_COMM_UNSERIALISABLE_PAYLOAD';

const post = {
  body: {
    type: 'object',
    required: ['data'],
    additionalProperties: false,
    properties: {
      data: { anyOf: [{ type: 'object' }, { type: 'array', minItems: 1, items: { type: 'object' } }] },
      steps: { type: 'array', items: { type: 'string' }, default: [] },
    },
  },
} as const;
const patch = {
  params: { type: 'object', properties: { uuid: UUID } },
  body: {
    type: 'object',
    required: ['status'],
    additionalProperties: false,
    properties: { status: { enum: STATUSES } },
  },
} as const;
const list = {
  querystring: {
    type: 'object',
    properties: {
      limit: { type: 'string', pattern: '^([1-9]|[1-9][0-9]|[1-9][0-9][0-9]|1000)$', default: '100' },
      offset: { type: 'string', pattern: '^[0-9]{1,15}$', default: '0' },
    },
  },
} as const;
const one = { params: { type: 'object', properties: { uuid: UUID } } } as const;

/** The HTTP face of the service. */
export function httpServer(workflows: Workflows, { log = true } = {}): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_LIMIT,
    logger: log && { level: process.env.LOG_LEVEL ?? 'info' },
    routerOptions: { ignoreTrailingSlash: true },
    // What is wrong is said, not mended.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
  });
  // A web page of anywhere can send text/plain without asking.
  app.removeContentTypeParser('text/plain');
  refuseWrongInput(app);

  app.post<{ Body: Pick<Workflow, 'data'> & { steps: string[] } }>(
    '/workflow',
    { schema: post },
    async (request, reply) => {
      checkCsv(request.body.data);
      const workflow = await workflows.insert(request.body);
      return reply.code(201).header('location', `/workflow/${workflow.uuid}`).send(workflow);
    },
  );

  app.patch<{ Params: { uuid: string }; Body: { status: Status } }>(
    '/workflow/:uuid',
    { schema: patch },
    async (request, reply) => {
      const workflow = await workflows.setStatus(request.params.uuid, request.body.status);
      return workflow ?? notFound(reply, request.params.uuid);
    },
  );

  app.get<{ Querystring: { limit: string; offset: string } }>('/workflow', { schema: list }, async (request, reply) => {
    const page = await workflows.list(Number(request.query.limit), Number(request.query.offset));
    return reply.header('x-total-count', page.total).send(page.workflows);
  });

  // No HEAD beside it: it would consume a workflow and give it to nobody.
  app.get('/workflow/consume', { exposeHeadRoute: false }, async (_request, reply) => {
    reply.header('cache-control', 'no-store');
    const workflow = await workflows.consume();
    return workflow ? csv(reply, workflow) : reply.code(204).send();
  });

  // For a client that hung up before its CSV came.
  app.get<{ Params: { uuid: string } }>('/workflow/:uuid.csv', { schema: one }, async (request, reply) => {
    const workflow = await workflows.find(request.params.uuid);
    return workflow ? csv(reply, workflow) : notFound(reply, request.params.uuid);
  });

  app.get<{ Params: { uuid: string } }>('/workflow/:uuid', { schema: one }, async (request, reply) => {
    return (await workflows.find(request.params.uuid)) ?? notFound(reply, request.params.uuid);
  });
  return app;
}

function csv(reply: FastifyReply, { uuid, data }: Workflow): FastifyReply {
  let text: string;
  try {
    text = toCsv(data);
  } catch (error) {
    if (!(error instanceof CsvTooLargeError)) throw error;
    // It was stored before there was a bound, or by somebody else.
    return reply.code(422).send({ error: 'unprocessable', message: `/workflow/${uuid}: ${error.message}` });
  }
  return reply
    .type('text/csv; charset=utf-8')
    .header('content-disposition', `attachment; filename="workflow-${uuid}.csv"`)
    .header('content-location', `/workflow/${uuid}.csv`)
    .send(text);
}

const notFound = (reply: FastifyReply, uuid: string): FastifyReply =>
  reply.code(404).send({ error: 'not_found', message: `there is no workflow ${uuid}` });

function refuseWrongInput(app: FastifyInstance): void {
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send({ error: 'not_found', message: `there is no ${request.method} ${request.url.split('?')[0]}` }),
  );
  app.setErrorHandler(
    (error: Error & { code?: string; statusCode?: number; validationContext?: string }, request, reply) => {
      if (error.validationContext === 'params') {
        return reply.code(404).send({ error: 'not_found', message: 'a workflow is named by its UUID' });
      }
      if (error.validationContext || UNSTORABLE.includes(error.code ?? '')) {
        const message = error.validationContext
          ? error.message
          : 'PostgreSQL cannot store NUL or half a surrogate pair';
        return reply.code(422).send({ error: 'unprocessable', message });
      }
      if (error instanceof CsvTooLargeError || (error instanceof SvcCommError && error.code === UNSENDABLE)) {
        return reply.code(422).send({ error: 'unprocessable', message: error.message });
      }
      if (error instanceof SvcCommError && TEMPORARY.includes(error.code)) {
        request.log.warn({ err: error }, 'not available');
        return reply
          .code(503)
          .header('retry-after', 1)
          .send({ error: 'unavailable', message: 'try again in a moment' });
      }
      const status = error.statusCode ?? 500;
      if (status < 500) return reply.code(status).send({ error: error.code ?? 'bad_request', message: error.message });
      request.log.error({ err: error }, 'failed');
      return reply.code(500).send({ error: 'internal', message: 'something went wrong; it is in the log' });
    },
  );
}
