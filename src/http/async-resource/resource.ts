import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { InvalidArgumentError, TaskNotFoundError } from '../../errors.ts';
import { inStartScope } from '../../task/client-source.ts';
import { isFinal, type TaskEvent, type TaskRecord } from '../../task/state.ts';
import { linkedSignal } from '../../util/linked-signal.ts';
import { callerOf } from '../caller.ts';
import { clientGone } from '../client-gone.ts';
import { TokenBuckets } from '../guard/token-bucket.ts';
import { prefixOf } from '../prefix.ts';
import { HttpProblem, problemOf } from '../problem.ts';
import { TaskAccess } from '../task-access.ts';
import { hasSeenTheEnd, streamEvents, wantsEvents } from './event-stream.ts';
import {
  type OperationName,
  operationOf,
  type ResourceAction,
  type ResourceHandlers,
  type ResourceRequest,
  type Started,
} from './operations.ts';
import type { AsyncResourceOptions } from './options.ts';
import { preferredWait } from './prefer.ts';
import { sendResult } from './result.ts';
import { hasResult, ResourceUris, stateBody, stateOf } from './state.ts';

export interface ResourceParts {
  readonly name: string;
  readonly handlers: ResourceHandlers;
  readonly options: AsyncResourceOptions;
}

/** Seconds after which a client may look again. */
const LOOK_AGAIN = '1';

/** What a resource answers. */
export class Resource {
  readonly #parts: ResourceParts;
  readonly #access: TaskAccess;
  readonly #scope: FastifyInstance;
  readonly #starts: TokenBuckets | undefined;

  constructor(scope: FastifyInstance, parts: ResourceParts) {
    const { options } = parts;
    const { rateLimit = 0 } = options;
    this.#parts = parts;
    this.#access = new TaskAccess(scope, options);
    this.#scope = scope;
    this.#starts = rateLimit === 0 ? undefined : new TokenBuckets(rateLimit, Math.max(1, rateLimit));
  }

  async operate(given: FastifyRequest, reply: FastifyReply, isDetail: boolean): Promise<FastifyReply> {
    const request = given as ResourceRequest;
    const operation = operationOf(request.method, isDetail);
    if (operation === undefined || !this.#parts.handlers[operation]) {
      throw new HttpProblem(501, `${request.method} is not implemented here`);
    }
    await this.#authorize(request, operation);
    this.#countStart(request);
    const started = await this.#start(request, operation);
    if (started === undefined || started === null) throw new HttpProblem(400, 'this request starts nothing');
    if (typeof started.id !== 'string') {
      throw new InvalidArgumentError(
        `${this.#parts.name}.${operation}`,
        'what start() of a task gives',
        typeof started,
      );
    }
    return this.#accepted(request, reply, started.id);
  }

  async state(given: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const request = given as ResourceRequest;
    let record = await this.#visible(request, 'state');
    if (request.method === 'GET' && wantsEvents(request)) return this.#stream(request, reply, record);
    const wait = preferredWait(request);
    if (wait !== undefined && !isFinal(record.state)) {
      reply.header('preference-applied', `wait=${wait}`);
      if (await this.#access.ended(record.id, { ms: wait * 1000, until: clientGone(reply) })) {
        record = await this.#visible(request, 'state');
      }
    }
    reply.header('cache-control', 'no-store').header('vary', 'accept, prefer');
    const { seeOther = false } = this.#parts.options;
    if (hasResult(record) && (seeOther || request.query.redirect === '1')) {
      return reply.code(303).header('location', this.#urisOf(request).result(record.id)).send();
    }
    if (!isFinal(record.state)) reply.header('retry-after', LOOK_AGAIN);
    return reply.send(stateBody(record, this.#urisOf(request)));
  }

  async result(given: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const request = given as ResourceRequest;
    const record = await this.#visible(request, 'result');
    if (!hasResult(record)) throw new HttpProblem(404, 'there is no result yet', { retryAfter: Number(LOOK_AGAIN) });
    return this.#sendResult(request, reply, record, request.query);
  }

  /** 410 when it has really ended, 202 while it still does, 400 when it had ended by itself. */
  async cancel(given: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const request = given as ResourceRequest;
    const { id } = await this.#visible(request, 'cancel');
    const cancelled = await this.#access.cancel(id);
    if (cancelled === undefined) {
      return reply
        .code(202)
        .header('location', this.#urisOf(request).state(id))
        .header('retry-after', LOOK_AGAIN)
        .send();
    }
    if (cancelled.state === 'REVOKED') throw gone(id);
    throw new HttpProblem(400, `it has ended already, as ${stateOf(cancelled.state)}`);
  }

  async #start(request: ResourceRequest, operation: OperationName): Promise<Started> {
    const { handlers } = this.#parts;
    const client = await this.#access.tasks();
    return inStartScope({ client, defaults: this.#access.defaultsOf(request) }, async () => {
      const handler = handlers[operation];
      // The id is decoded by the router; handlers of lists do not look at it.
      return handler?.(request, request.params.pk ?? '');
    });
  }

  async #accepted(request: ResourceRequest, reply: FastifyReply, id: string): Promise<FastifyReply> {
    const wait = preferredWait(request);
    const record = wait === undefined ? undefined : await this.#endedWithin(wait, request, reply, id);
    if (record && hasResult(record)) {
      reply.header('preference-applied', `wait=${wait}`).header('content-location', this.#urisOf(request).result(id));
      // The query is the operation's own: what it calls `limit` says nothing of pages.
      return this.#sendResult(request, reply, record, {});
    }
    return reply.code(202).header('location', this.#urisOf(request).state(id)).header('retry-after', LOOK_AGAIN).send();
  }

  /** undefined also when it cannot be told at the moment: whoever is not told what was started starts it again. */
  async #endedWithin(
    seconds: number,
    request: ResourceRequest,
    reply: FastifyReply,
    id: string,
  ): Promise<TaskRecord | undefined> {
    try {
      const ended = await this.#access.ended(id, { ms: seconds * 1000, until: clientGone(reply) });
      return ended && (await this.#access.find(request, id));
    } catch (error) {
      if (problemOf(error).statusCode === 503) return undefined;
      throw error;
    }
  }

  #sendResult(
    request: ResourceRequest,
    reply: FastifyReply,
    record: TaskRecord,
    query: ResourceRequest['query'],
  ): FastifyReply {
    reply.header('cache-control', 'no-store');
    return sendResult(reply, record, { path: this.#urisOf(request).result(record.id), query });
  }

  async #stream(request: ResourceRequest, reply: FastifyReply, record: TaskRecord): Promise<FastifyReply> {
    if (hasSeenTheEnd(request) && isFinal(record.state)) return reply.code(204).send();
    const { signal: until, unlink } = linkedSignal(this.#access.closing, clientGone(reply));
    try {
      const tasks = await this.#access.tasks();
      await streamEvents(reply, {
        events: tasks.events(record.id, { signal: until }),
        dataOf: (event) => this.#eventData(request, record, event),
        until,
      });
    } finally {
      unlink();
    }
    return reply;
  }

  #eventData(request: ResourceRequest, record: TaskRecord, event: TaskEvent): object {
    if (event.kind === 'progress') return { fraction: event.fraction, ...(event.note ? { note: event.note } : {}) };
    return stateBody({ ...record, state: event.state, progress: undefined, note: undefined }, this.#urisOf(request));
  }

  #urisOf(request: ResourceRequest): ResourceUris {
    return new ResourceUris(`${prefixOf(this.#scope, request)}/${this.#parts.name}`);
  }

  /** @throws HttpProblem 404 for one that the caller does not see, 410 for one that was cancelled */
  async #visible(request: ResourceRequest, action: ResourceAction): Promise<TaskRecord> {
    const id = request.params.id ?? '';
    const record = await this.#access.find(request, id);
    await this.#authorize(request, action, record);
    if (!record) throw new TaskNotFoundError(id.slice(0, 100));
    if (record.state === 'REVOKED') throw gone(id);
    return record;
  }

  async #authorize(request: ResourceRequest, action: ResourceAction, task?: TaskRecord): Promise<void> {
    const { authorize } = this.#parts.options;
    if (authorize && !(await authorize(request, action, task)))
      throw new HttpProblem(403, 'this is not allowed to you');
  }

  #countStart(request: ResourceRequest): void {
    const { owner } = callerOf(request);
    const retryAfter = this.#starts?.take(owner === '' ? request.ip : `owner ${owner}`) ?? 0;
    if (retryAfter > 0) throw new HttpProblem(429, 'too many starts', { retryAfter });
  }
}

const gone = (id: string): HttpProblem => new HttpProblem(410, `task ${id} was cancelled`);
