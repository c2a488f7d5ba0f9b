import { eventConsumer, type KnexTransaction, type SvcCommService } from 'svc-comm';
import type { AbridgedWorkflow, Status, Workflow } from './workflow.ts';

const COLUMNS = ['uuid', 'status', 'data', 'steps'] as const;
/** How long after its insertion a workflow may still be on its way from the table to the queue. */
const ON_ITS_WAY = "interval '5 seconds'";
const WAIT_MS = 1000;
const LOOK_EVERY_MS = 25;

/** Bytes of data and steps of a page: more would be in memory at once. */
const MOST_LISTED_BYTES = 8 * 1024 * 1024;

export interface Page {
  readonly workflows: readonly (Workflow | AbridgedWorkflow)[];
  readonly total: number;
}

/** The workflows of the table, and the queue of those that wait to be consumed. */
export class Workflows {
  readonly #service: SvcCommService;

  constructor(service: SvcCommService) {
    this.#service = service;
  }

  /** Makes table and queue, if they are not there. */
  async prepare(): Promise<void> {
    const { schema } = this.#service.settings;
    await this.#service.migrate();
    await this.#service.transaction(async (trx) => {
      // Two processes that start together would both make the type.
      await trx.raw('SELECT pg_advisory_xact_lock(hashtext(?))', [`workflow ${schema}`]);
      await trx.raw(
        `CREATE TABLE IF NOT EXISTS ??.workflow (
          number bigint GENERATED ALWAYS AS IDENTITY,
          uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
          status text NOT NULL DEFAULT 'inserted' CHECK (status IN ('inserted', 'consumed')),
          data jsonb NOT NULL,
          steps text[] NOT NULL,
          inserted_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )`,
        [schema],
      );
    });
    await this.#service.declare();
  }

  /** Row and message in one transaction: either both are there, or none. */
  insert({ data, steps }: Pick<Workflow, 'data' | 'steps'>): Promise<Workflow> {
    return this.#service.transaction(async (trx) => {
      const [workflow] = await this.#table(trx)
        .insert({ data: JSON.stringify(data), steps: [...steps] })
        .returning(COLUMNS);
      await this.#service.publishAggregateEvent({
        aggregate: this.#service.settings.appId,
        eventType: 'inserted',
        payload: workflow,
      });
      return workflow;
    });
  }

  find(uuid: string): Promise<Workflow | undefined> {
    return this.#service.transaction((trx) => this.#table(trx).first(COLUMNS).where({ uuid }));
  }

  /** Oldest first. Those that would make the page too long are abridged: each has its place all the same. */
  list(limit: number, offset: number): Promise<Page> {
    return this.#service.transaction(async (trx) => {
      const { rows } = await trx.raw<{ rows: (Workflow & { readonly fits: boolean })[] }>(
        `SELECT uuid, status, fits, CASE WHEN fits THEN data END AS data, CASE WHEN fits THEN steps END AS steps
           FROM (SELECT p.*,
               sum(octet_length(data::text) + octet_length(steps::text)) OVER (ORDER BY number) <= ? AS fits
             FROM (SELECT * FROM ??.workflow ORDER BY number LIMIT ? OFFSET ?) p) summed
          ORDER BY number`,
        [MOST_LISTED_BYTES, this.#service.settings.schema, limit, offset],
      );
      const [counted] = await this.#table(trx).count('* as total');
      const workflows = rows.map(({ fits, uuid, status, data, steps }) =>
        fits ? { uuid, status, data, steps } : { uuid, status, abridged: true as const },
      );
      return { workflows, total: Number(counted?.total) };
    });
  }

  /** Nothing is put into the queue or taken from it. @returns undefined when there is no such workflow */
  setStatus(uuid: string, status: Status): Promise<Workflow | undefined> {
    return this.#service.transaction(async (trx) => {
      const [workflow] = await this.#table(trx).update({ status }).where({ uuid }).returning(COLUMNS);
      return workflow;
    });
  }

  /**
   * Takes the next message from the queue and marks its workflow consumed, in the transaction of the inbox: killed
   * anywhere, the message comes again and finds either nothing done or all of it.
   * @returns undefined when nothing waits
   */
  async consume(): Promise<Workflow | undefined> {
    const until = Date.now() + WAIT_MS;
    for (;;) {
      const taken = await this.#service.takeOne(
        this.#service.settings.queue.name,
        eventConsumer(async (payload: Workflow, _event, context) => ({
          workflow: await markConsumed(
            context.transaction as KnexTransaction,
            this.#service.settings.schema,
            payload.uuid,
          ),
        })),
      );
      if (isTaken(taken)) {
        if (taken.workflow) return taken.workflow;
        continue; // somebody had set it to consumed: the next one
      }
      if (Date.now() >= until || !(await this.#isOneOnItsWay())) return undefined;
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  /** Who posts and consumes at once would otherwise find an empty queue for some milliseconds. */
  #isOneOnItsWay(): Promise<boolean> {
    return this.#service.transaction(async (trx) => {
      const row = await this.#table(trx)
        .first('uuid')
        .where({ status: 'inserted' })
        .andWhereRaw(`inserted_at > clock_timestamp() - ${ON_ITS_WAY}`);
      return row !== undefined;
    });
  }

  #table(trx: KnexTransaction) {
    return table(trx, this.#service.settings.schema);
  }
}

/** @returns undefined when it was consumed already */
export async function markConsumed(trx: KnexTransaction, schema: string, uuid: string): Promise<Workflow | undefined> {
  const [workflow] = await table(trx, schema)
    .update({ status: 'consumed' })
    .where({ uuid, status: 'inserted' })
    .returning(COLUMNS);
  return workflow;
}

const table = (trx: KnexTransaction, schema: string) => trx.withSchema(schema).from('workflow');

const isTaken = (value: unknown): value is { readonly workflow: Workflow | undefined } =>
  typeof value === 'object' && value !== null && 'workflow' in value;
