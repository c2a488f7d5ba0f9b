import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { InstanceNotFoundError, InstanceWaitTimeoutError } from '../../errors.ts';
import type { ProcessDescription } from '../../process/description.ts';
import {
  failedTask,
  INSTANCE_STATES,
  type InstanceState,
  type ProcessInstance,
  wasCancelled,
} from '../../process/instance.ts';
import { defaultProcesses } from '../../process/process-source.ts';
import type { CreateOptions, Processes } from '../../process/processes.ts';
import type { ProcessRegistry } from '../../process/registry.ts';
import { type Duration, durationMs } from '../../util/duration.ts';
import { callerOf } from '../caller.ts';
import { FirstStart } from '../first-start.ts';
import { idempotencyKey } from '../idempotency-key.ts';
import { prefixOf } from '../prefix.ts';
import { HttpProblem } from '../problem.ts';
import { wholeNumber } from '../query.ts';
import { DEFAULT_CANCEL_WAIT } from '../task-access.ts';
import { instanceBody } from './instance-body.ts';

export interface InstancesOptions {
  /** What creates instances and tells of them. @default that of the default service */
  readonly processes?: Processes | undefined;
  /**
   * Headers of a request that steps see: none that carries credentials.
   * @default ['accept-language', 'content-type', 'user-agent', 'x-request-id', 'traceparent']
   */
  readonly headers?: readonly string[] | undefined;
  /** How long an answer waits for a cancelled instance to have really ended. @default '6s' */
  readonly cancelWait?: Duration | undefined;
}

export type OfProcess = FastifyRequest<{ Params: { processId: string }; Querystring: Record<string, unknown> }>;
export type OfInstance = FastifyRequest<{
  Params: { processId: string; instanceId: string };
  Querystring: Record<string, unknown>;
}>;

export const DEFAULT_HEADERS: readonly string[] = Object.freeze([
  'accept-language',
  'content-type',
  'user-agent',
  'x-request-id',
  'traceparent',
]);
/** Whatever the list says: instances are kept, and shown to others than the caller. */
const NEVER: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie']);
const MOST_LISTED = 1000;

/** Instances as a request may create and see them: of other owners there are none. */
export class Instances {
  readonly #scope: FastifyInstance;
  readonly #given: Processes | undefined;
  readonly #headers: readonly string[];
  readonly #cancelWaitMs: number;
  readonly #closing = new AbortController();
  readonly #ofDefault = new FirstStart(defaultProcesses.processes, this.#closing.signal);

  constructor(scope: FastifyInstance, { processes, headers = DEFAULT_HEADERS, cancelWait }: InstancesOptions) {
    this.#scope = scope;
    this.#given = processes;
    this.#headers = headers.map((name) => name.toLowerCase()).filter((name) => !NEVER.has(name));
    this.#cancelWaitMs = durationMs(cancelWait ?? DEFAULT_CANCEL_WAIT, 'cancelWait');
    scope.addHook('preClose', (done) => {
      this.#closing.abort();
      done();
    });
  }

  async descriptions(): Promise<readonly ProcessDescription[]> {
    return (await this.#registry()).descriptions;
  }

  /** @throws UnknownProcessError */
  async description({ params }: OfProcess): Promise<ProcessDescription> {
    return (await this.#registry()).get(params.processId).description;
  }

  async create(request: OfProcess, reply: FastifyReply, id?: string): Promise<FastifyReply> {
    const { processId } = request.params;
    const processes = await this.#processes();
    const { instance, wasKnown } = await processes.create(processId, request.body ?? {}, this.#optionsOf(request, id));
    const failed = failedTask(instance);
    reply.header('location', this.#uri(request, instance));
    if (failed) throw badGateway(instance, failed);
    return reply.code(wasKnown ? 200 : 201).send(instanceBody(instance));
  }

  async list(request: OfProcess): Promise<object[]> {
    const { params, query } = request;
    const processes = await this.#processes();
    const { id: process } = processes.registry.get(params.processId);
    const limit = wholeNumber(query.limit, 'limit', { fallback: 100, min: 1, max: MOST_LISTED });
    const offset = wholeNumber(query.offset, 'offset', { fallback: 0, min: 0 });
    const { owner, seesAll } = callerOf(request);
    const states = statesOf(query.state);
    const filter = { ...(seesAll ? {} : { submitter: owner }), ...(states ? { states } : {}) };
    const listed = await processes.list({ process, limit, offset, ...filter });
    return listed.map((instance) => ({
      ...instanceBody(instance),
      ...(instance.isAbridged ? { abridged: true, location: this.#uri(request, instance) } : {}),
    }));
  }

  async show(request: OfInstance, reply: FastifyReply): Promise<FastifyReply> {
    const instance = await this.#visible(request);
    return reply.header('cache-control', 'no-store').send(instanceBody(instance));
  }

  /** 200 when it has really ended, 202 while it still does, 409 when it had ended otherwise. */
  async cancel(request: OfInstance, reply: FastifyReply): Promise<FastifyReply> {
    const before = await this.#visible(request);
    const { id, state } = before;
    if (state === 'Complete' || state === 'Failed') throw hadEnded(state);
    const processes = await this.#processes();
    const { signal } = this.#closing;
    try {
      const ended = await processes.cancel(id, { timeout: `${this.#cancelWaitMs}ms`, signal });
      // It came to its end by itself meanwhile.
      if (!wasCancelled(before, ended)) throw hadEnded(ended.state);
      return reply.send(instanceBody(ended));
    } catch (error) {
      // What else fails while the server closes has not been done.
      const isLate = error instanceof InstanceWaitTimeoutError || (signal.aborted && error === signal.reason);
      if (!isLate) throw error;
      const instance = await processes.record(id);
      return reply
        .code(202)
        .header('location', this.#uri(request, instance))
        .header('retry-after', '1')
        .send(instanceBody(instance));
    }
  }

  /** @throws InstanceNotFoundError for one of another process or owner as well */
  async #visible(request: OfInstance): Promise<ProcessInstance> {
    const { processId, instanceId } = request.params;
    const processes = await this.#processes();
    processes.registry.get(processId);
    const instance = await processes.find(instanceId);
    const { owner, seesAll } = callerOf(request);
    if (instance?.process !== processId || !(seesAll || instance.submitter === owner)) {
      throw new InstanceNotFoundError(instanceId);
    }
    return instance;
  }

  /** Not by `#processes`: an application registers its routes, and starts, while the database is down as well. */
  async #registry(): Promise<ProcessRegistry> {
    return this.#given?.registry ?? defaultProcesses.registry();
  }

  async #processes(): Promise<Processes> {
    return this.#given ?? this.#ofDefault.get();
  }

  #optionsOf(request: OfProcess, id: string | undefined): CreateOptions {
    const { method, url, params, query } = request;
    // What has an id of its own needs no key.
    const key = id === undefined ? idempotencyKey(request) : undefined;
    return {
      ...(id === undefined ? {} : { id }),
      ...(key === undefined ? {} : { idempotencyKey: key }),
      submitter: callerOf(request).owner,
      request: { method, url, params: { ...params }, query: { ...query }, headers: this.#headersOf(request) },
      raw: request,
    };
  }

  #headersOf({ headers }: FastifyRequest): Record<string, string> {
    return Object.fromEntries(
      this.#headers.flatMap((name) => {
        const value = headers[name];
        return value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value] as const];
      }),
    );
  }

  #uri(request: FastifyRequest, { process, id }: ProcessInstance): string {
    return `${prefixOf(this.#scope, request)}/${process}/${id}`;
  }
}

const hadEnded = (state: InstanceState): HttpProblem => new HttpProblem(409, `it has ended already, as ${state}`);

/** The seed's rule: a synchronous task that fails is a bad gateway. */
function badGateway(instance: ProcessInstance, { name, status, error }: ReturnType<typeof failedTask> & object) {
  const what =
    status === 'SKIPPED'
      ? 'was not begun: the server that created the instance is gone, or could not hand it to the workers'
      : `failed: ${error?.message ?? status}`;
  return new HttpProblem(502, `task ${name} ${what}`, {
    members: { code: 'SVC_COMM_PROCESS_TASK_FAILED', task: name, taskStatus: status, instance: instanceBody(instance) },
  });
}

function statesOf(given: unknown): readonly InstanceState[] | undefined {
  if (given === undefined) return undefined;
  return (Array.isArray(given) ? given : [given]).map((text) => {
    const state = INSTANCE_STATES.find((known) => known.toLowerCase() === String(text).toLowerCase());
    if (!state) throw new HttpProblem(400, `state: expected one of ${INSTANCE_STATES.join(', ')}`);
    return state;
  });
}
