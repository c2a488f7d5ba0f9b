import { validate as isUuid, v7 as uuidv7 } from 'uuid';
import type { DatabaseConnection } from '../database/connection.ts';
import type { SqlExecutor } from '../database/executor.ts';
import { ASKED_MS, DatabaseLink } from '../database/link.ts';
import type { Transactions } from '../database/transactions.ts';
import { InstanceNotFoundError, InvalidProcessInputError, ProcessConflictError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { withoutKey } from '../task/client-source.ts';
import { listOptions } from '../task/list-options.ts';
import type { Tasks } from '../task/tasks.ts';
import { Telemetry } from '../telemetry/telemetry.ts';
import { assertObject, assertSignal } from '../util/assert-object.ts';
import { type Duration, durationMs } from '../util/duration.ts';
import type { Waits } from '../util/waits.ts';
import { asSent } from '../wire/as-sent.ts';
import { encodeJson } from '../wire/json.ts';
import { type CoreServices, coreServices, inServiceScope } from './core/services.ts';
import { type Created, Creation } from './creation.ts';
import type { ProcessDefinition } from './definition.ts';
import { cancelInstance, endOfInstance } from './ending.ts';
import { identityOf } from './identity.ts';
import { dueTimes, failedValidations, readInput } from './input.ts';
import { INSTANCE_STATES, type InstanceState, type ProcessInstance } from './instance.ts';
import { InstanceLeases } from './leases.ts';
import type { ProcessRegistry } from './registry.ts';
import { MAX_REQUEST_DEPTH, type RequestSnapshot } from './request.ts';
import { createInstance, type NewStep } from './sql/create.ts';
import { type InstanceRecord, listInstances, readInstance } from './sql/read.ts';
import { InstanceSweeper, sweepLost } from './sweeper.ts';

export interface ProcessesParts {
  readonly registry: ProcessRegistry;
  /** Submits the asynchronous tasks. Started and stopped by whoever gave it. */
  readonly tasks: Tasks;
  readonly transactions: Transactions;
  readonly connect: (name: string) => Promise<DatabaseConnection>;
  /** Where our tables are. */
  readonly schema: string;
  /** How long an instance stays with a server that does not renew. */
  readonly leaseMs: number;
  readonly retentionMs: number;
  readonly logger: Logger;
  /** Whether `start` waits for a database that is down. */
  readonly wait: Waits;
  /** What the package's own tasks need. @default that of the default service */
  readonly services?: (() => Promise<CoreServices>) | undefined;
  /** Told of what is done for an instance. @default nobody */
  readonly telemetry?: Telemetry;
}

export interface CreateOptions {
  /** The instance's id, a UUID; the same id again creates nothing more. @default a new UUIDv7 */
  readonly id?: string;
  /** As the id, of the caller's own choice; belongs to the process and the submitter. 1 to 255 characters. */
  readonly idempotencyKey?: string;
  /** Who asks. @default '' */
  readonly submitter?: string;
  /** What the steps are told of the request. */
  readonly request?: Partial<Omit<RequestSnapshot, 'body' | 'user' | 'instanceId'>>;
  /** What synchronous tasks get as `request.raw`. */
  readonly raw?: unknown;
}

/** `wasKnown`: it was there already, made by the same request before. */
export interface CreateResult {
  readonly instance: ProcessInstance;
  readonly wasKnown: boolean;
}

export interface ListInstancesOptions {
  readonly process?: string;
  readonly submitter?: string;
  readonly states?: readonly InstanceState[];
  /** 1 … 1000. @default 100 */
  readonly limit?: number;
  /** @default 0 */
  readonly offset?: number;
}

export interface EndOptions {
  /** How long to wait; a number is seconds. @default for ever */
  readonly timeout?: Duration;
  readonly signal?: AbortSignal;
}

interface Opened {
  /** For the instances that run here, alone: behind what others ask for their leases would run out. */
  readonly running: DatabaseLink;
  /** For those who ask, and the sweeper. */
  readonly db: DatabaseLink;
  /** The same: they are told that it is down. */
  readonly asked: SqlExecutor;
  readonly leases: InstanceLeases;
  readonly sweeper: InstanceSweeper;
}

/** For the writes of what a stop has ended. */
const GIVE_UP_MS = 2_000;

/** Creates instances of processes, runs their synchronous tasks, and tells what becomes of them. */
export class Processes implements Service {
  readonly name = 'processes';
  readonly registry: ProcessRegistry;
  readonly #parts: ProcessesParts;
  readonly #telemetry: Telemetry;
  readonly #lifecycle: Lifecycle;
  readonly #underWay = new Set<Promise<unknown>>();
  #open: Opened | undefined;

  constructor(parts: ProcessesParts) {
    this.#parts = parts;
    this.registry = parts.registry;
    this.#telemetry = parts.telemetry ?? new Telemetry();
    this.#lifecycle = new Lifecycle(this.name, { start: (signal) => this.#start(signal), stop: () => this.#stop() });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }
  /** Resolves when the database answers. */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }
  /** Ends the synchronous tasks that run here, as lost; while the database is down their leases end them. */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /**
   * Creates an instance: validates, writes it, runs the synchronous tasks, and submits the asynchronous ones. Resolves
   * when all that is done, or the first synchronous task has failed.
   * @throws UnknownProcessError, InvalidProcessInputError, ProcessConflictError, InvalidArgumentError;
   *   DatabaseUnavailableError: what was created, if it was, is ended by its lease; NotRunningError: it stops, and nothing
   *   was created, or the database was down
   */
  async create(processId: string, given: unknown, options: CreateOptions = {}): Promise<CreateResult> {
    const definition = this.registry.get(processId);
    const { id, submitter, body, fingerprint } = identityOf(definition.id, given, options);
    const request = asSent(options.request);
    const isChosen = options.id !== undefined || options.idempotencyKey !== undefined;
    const known = isChosen ? await this.#find(id) : undefined;
    if (known) return this.#known(known, definition, fingerprint, submitter);
    const all = { ...options, ...(request ? { request } : {}), id, submitter };
    const work = this.#telemetry.processing(
      { process: definition.id, instanceId: id },
      () => this.#create(definition, body, all, fingerprint),
      ({ instance: { state, tasks } }) => ({ state, failure: tasks.find(({ error }) => error)?.error }),
    );
    this.#underWay.add(work);
    try {
      return await work;
    } finally {
      this.#underWay.delete(work);
    }
  }

  /** undefined when there is none. One whose server is lost is ended by this look. */
  async find(id: string): Promise<ProcessInstance | undefined> {
    const found = await this.#find(id);
    return found && plain(found);
  }

  /** @throws InstanceNotFoundError (SVC_COMM_INSTANCE_NOT_FOUND) */
  async record(id: string): Promise<InstanceRecord> {
    const found = await this.#find(id);
    if (!found) throw new InstanceNotFoundError(id);
    return found;
  }

  /** Newest first. Of a page with more than 8 MiB the last ones are abridged: see `isAbridged`. */
  async list(options: ListInstancesOptions = {}): Promise<ProcessInstance[]> {
    const filter = listOptions(options, ['process', 'submitter'], INSTANCE_STATES);
    const { asked } = this.#opened;
    return (await listInstances(asked, this.#parts.schema, filter)).map(plain);
  }

  /**
   * Ends an instance: its asynchronous tasks are revoked, with all their processes; one that is still New ends before
   * its next step. Resolves when it has ended. One that had ended is left as it is.
   * @throws InstanceNotFoundError; InstanceWaitTimeoutError: it was asked for, and is under way
   */
  async cancel(instanceId: string, options: EndOptions = {}): Promise<ProcessInstance> {
    // Told before anything is asked for.
    assertEndOptions(options);
    const { asked, leases } = this.#opened;
    const { id } = await this.record(instanceId);
    await cancelInstance(asked, this.#parts.schema, id);
    leases.end('cancel', id);
    return this.ended(id, options);
  }

  /** Waits until it has ended. @throws InstanceNotFoundError, InstanceWaitTimeoutError, the signal's reason */
  async ended(id: string, options: EndOptions = {}): Promise<ProcessInstance> {
    assertEndOptions(options);
    return plain(await endOfInstance(id, { read: () => this.record(id), tasks: this.#parts.tasks }, options));
  }

  async #create(
    definition: ProcessDefinition,
    given: unknown,
    options: CreateOptions & { readonly id: string; readonly submitter: string },
    fingerprint: string,
  ): Promise<CreateResult> {
    const { schema, logger, transactions, tasks } = this.#parts;
    const { running: db, asked, leases } = this.#opened;
    const { id, submitter, raw } = options;
    const { body, problems } = await readInput(definition, given);
    const snapshot = snapshotOf(body, options, definition.id);
    const until = new AbortController().signal;
    const due = problems.length === 0 ? await dueTimes(definition, snapshot.body) : { times: [], problems: [] };
    const failed = await failedValidations(definition.validations, { snapshot, logger, until });
    const all = [...problems, ...failed, ...due.problems];
    if (all.length > 0) throw new InvalidProcessInputError(definition.id, all);
    // What the stop does not know of it would wait for, until its last synchronous task has ended.
    this.#lifecycle.assertRunning();
    const taskIds = definition.tasksAsync.map(() => uuidv7());
    const created: Created = { definition, snapshot, raw, taskIds, times: due.times };
    const isMade = await leases.hold(id, async (running) => {
      const isNew = await createInstance(asked, schema, {
        id,
        process: definition.id,
        request: encodeJson(snapshot, 'request'),
        fingerprint,
        submitter,
        owner: leases.owner,
        leaseMs: leases.leaseMs,
        steps: stepsOf(created),
      });
      const creation = new Creation(
        { db, schema, transactions, tasks, leases, logger, telemetry: this.#telemetry },
        created,
        running,
      );
      if (!isNew) return false;
      await running.written();
      // The key of the request that we may be in stands for one instance's tasks, and there may be another by the next one.
      await inServiceScope(this.#parts.services ?? coreServices, () => withoutKey(() => creation.run()));
      return true;
    });
    // Also while we stop: what became of it is what the caller asked for.
    const instance = await this.#find(id, asked);
    if (!instance) throw new InstanceNotFoundError(id);
    if (!isMade) return this.#known(instance, definition, fingerprint, submitter);
    return { instance: plain(instance), wasKnown: false };
  }

  #known(known: InstanceRecord, { id }: ProcessDefinition, fingerprint: string, submitter: string): CreateResult {
    const isSame = known.process === id && known.fingerprint === fingerprint && known.submitter === submitter;
    if (!isSame) throw new ProcessConflictError(known.id);
    return { instance: plain(known), wasKnown: true };
  }

  async #find(id: string, db = this.#opened.asked): Promise<InstanceRecord | undefined> {
    // Any text may come from outside; one that is no UUID belongs to no instance.
    if (!isUuid(id)) return undefined;
    const { schema, logger } = this.#parts;
    const found = await readInstance(db, schema, id);
    if (!found?.isLost) return found;
    await sweepLost(db, schema, logger, id);
    return readInstance(db, schema, id);
  }

  get #opened() {
    this.#lifecycle.assertRunning();
    if (!this.#open) throw new Error('running without a database');
    return this.#open;
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { connect, schema, logger, wait, leaseMs, retentionMs } = this.#parts;
    const link = (name: string) => new DatabaseLink({ name, connect: () => connect(name), logger });
    const running = link(`${this.name} running`);
    const db = link(this.name);
    const leases = new InstanceLeases({ db: running, schema, leaseMs, logger });
    const sweeper = new InstanceSweeper({
      withDatabase: (work) => work(db),
      schema,
      everyMs: leaseMs,
      retentionMs,
      logger,
    });
    this.#open = { running, db, asked: db.within(ASKED_MS), leases, sweeper };
    await db.open(signal, wait);
    await running.open(signal, wait);
    leases.start();
    await sweeper.start();
  }

  async #stop(): Promise<void> {
    const open = this.#open;
    if (!open) return;
    const { leases, sweeper, running, db } = open;
    leases.end('stop');
    const close = () => Promise.all([sweeper.stop(), leases.stop(), running.close(), db.close()]);
    // A database that is down is not waited for: what cannot be written is ended by its lease.
    const giveUp = setTimeout(() => void close(), GIVE_UP_MS);
    await Promise.allSettled([...this.#underWay]);
    clearTimeout(giveUp);
    await close();
    this.#open = undefined;
  }
}

function snapshotOf(
  body: unknown,
  { id, submitter, request = {} }: CreateOptions & { readonly id: string; readonly submitter: string },
  processId: string,
): RequestSnapshot<unknown> {
  const { method = 'POST', url = `/${processId}`, params = { processId }, query = {}, headers = {} } = request;
  const made = { method, url, params, query, headers, body, user: submitter, instanceId: id };
  // What a schema made of the body, dates for one, travels as JSON: every step is to see the same.
  return JSON.parse(encodeJson(made, 'request', MAX_REQUEST_DEPTH)) as RequestSnapshot<unknown>;
}

const stepsOf = ({ definition, taskIds, times }: Created): readonly NewStep[] => [
  ...definition.tasksSync.map(({ name, args }, position) => ({
    kind: 'sync' as const,
    position,
    name,
    args: encodeJson(args, `args of ${name}`),
    taskId: null,
    dueAt: null,
  })),
  ...definition.tasksAsync.map(({ name, args }, position) => ({
    kind: 'async' as const,
    position,
    name,
    args: encodeJson(args, `args of ${name}`),
    taskId: taskIds[position] ?? null,
    dueAt: times[position]?.toISOString() ?? null,
  })),
];

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) */
function assertEndOptions(options: EndOptions): void {
  assertObject('options', options);
  assertSignal(options.signal);
  if (options.timeout !== undefined) durationMs(options.timeout, 'timeout', 's');
}

function plain({ fingerprint: _, isLost: __, ...instance }: InstanceRecord): ProcessInstance {
  return instance;
}
