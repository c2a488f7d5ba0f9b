import { setMaxListeners } from 'node:events';
import type { FastifyPluginAsync } from 'fastify';
import { taskClient } from '../task/client-source.ts';
import type { Tasks } from '../task/tasks.ts';
import { sleep } from '../util/sleep.ts';
import { openApi } from './openapi/collector.ts';
import { json } from './openapi/parts.ts';
import type { Operation } from './openapi/types.ts';
import { pathPrefix } from './prefix.ts';

export interface HealthOptions {
  /** @default that of the default service */
  readonly tasks?: Tasks | undefined;
}

const DATABASE_MS = 2_000;

/**
 * Fastify plugin: `GET /health` answers while the process does, `GET /health/ready` when the database answers as well.
 * Neither asks for a token, and neither says more than that: why the database does not is logged, once for each time that
 * it ceases to.
 */
export const health: FastifyPluginAsync<HealthOptions> = async (scope, { tasks }) => {
  const config = { svcComm: { isOpen: true } };
  scope.get('/health', { config }, (_request, reply) => {
    reply.send({ status: 'ok' });
  });
  let wasReady = true;
  let pending: Question | undefined;
  const problemOf = async () => {
    // One for all who ask meanwhile: each would stay with the first start of the tasks for the whole of an outage.
    pending ??= ask(tasks, () => {
      pending = undefined;
    });
    const asked = pending;
    await sleep(DATABASE_MS, asked.answered);
    return asked.answered.aborted ? asked.problem : new Error(`it has not answered within ${DATABASE_MS} ms`);
  };
  scope.get('/health/ready', { config }, async (_request, reply) => {
    const problem = await problemOf();
    const isReady = problem === undefined;
    if (!isReady && wasReady) scope.log.warn({ error: problem }, 'not ready: the database cannot be asked');
    if (isReady && !wasReady) scope.log.info({}, 'ready again: the database answers');
    wasReady = isReady;
    return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ok' : 'unavailable' });
  });
  openApi(scope).add({
    prefix: pathPrefix(scope),
    paths: () => ({
      '/health': { get: operation('health', 'Whether the process answers') },
      '/health/ready': { get: operation('ready', 'Whether the database does as well') },
    }),
  });
};

const STATUS = { type: 'object', properties: { status: { type: 'string' } }, required: ['status'] };

const operation = (operationId: string, summary: string): Operation => ({
  security: [],
  operationId,
  summary,
  tags: ['health'],
  responses: {
    200: json('It does.', STATUS),
    ...(operationId === 'ready' ? { 503: json('It does not.', STATUS) } : {}),
  },
});

interface Question {
  /** Aborts with the answer. */
  readonly answered: AbortSignal;
  /** Why the database does not answer; undefined when it does. */
  readonly problem: unknown;
}

function ask(given: Tasks | undefined, onAnswer: () => void): Question {
  const answered = new AbortController();
  // Node takes the eleventh for a leak.
  setMaxListeners(0, answered.signal);
  const question = { answered: answered.signal, problem: undefined as unknown };
  (async () => (given ?? (await taskClient())).find(NOBODY))()
    .catch((error: unknown) => {
      question.problem = error ?? new Error('it failed with nothing');
    })
    .finally(() => {
      onAnswer();
      answered.abort();
    });
  return question;
}

/** The nil UUID (RFC 9562 §5.9): no task has it. */
const NOBODY = '00000000-0000-0000-0000-000000000000';
