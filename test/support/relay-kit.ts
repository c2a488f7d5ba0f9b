import { type ConnectionOptions, connectDatabase, type DatabaseConnection } from '../../src/database/connection.ts';
import type { PoolOptions } from '../../src/database/pool-options.ts';
import { DatabaseUnavailableError } from '../../src/errors.ts';
import { type Logger, silentLogger } from '../../src/lifecycle/logger.ts';
import type { Message } from '../../src/message/message.ts';
import type { PublishOutcome, PublishPipe } from '../../src/message/publisher.ts';
import { Relay } from '../../src/outbox/relay.ts';
import type { RelayOptions } from '../../src/outbox/relay-options.ts';
import { sleep } from '../../src/util/sleep.ts';
import { patience } from './patience.ts';
import { type TestDatabase, testDatabase } from './test-database.ts';

export interface Offer {
  readonly message: Message;
  readonly atMs: number;
  settle(outcome: PublishOutcome): void;
}

export const CONFIRMED: PublishOutcome = { kind: 'confirmed' };

/** A pipe that records what it is offered, and settles it as the test says. */
export class RecordingPipe implements PublishPipe {
  readonly offers: Offer[] = [];
  /** The outcome of a message; undefined: the test settles it. */
  decide: (message: Message) => PublishOutcome | undefined = () => CONFIRMED;
  limit = 1000;
  onOffer: (offer: Offer) => void = () => undefined;
  #isDown = false;
  #inFlight = 0;
  #waiting: (() => void)[] = [];

  get inFlight(): number {
    return this.#inFlight;
  }
  get hasRoom(): boolean {
    return !this.#isDown && this.#inFlight < this.limit;
  }
  set isDown(isDown: boolean) {
    this.#isDown = isDown;
    this.#pulse();
  }

  async room(signal: AbortSignal): Promise<void> {
    while (!this.hasRoom) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  offer(message: Message, settle: (outcome: PublishOutcome) => void): void {
    this.#inFlight += 1;
    let isSettled = false;
    const offer: Offer = {
      message,
      atMs: performance.now(),
      settle: (outcome) => {
        if (isSettled) return;
        isSettled = true;
        this.#inFlight -= 1;
        settle(outcome);
        this.#pulse();
      },
    };
    this.offers.push(offer);
    const outcome = this.decide(message);
    if (outcome) setImmediate(() => offer.settle(outcome));
    this.onOffer(offer);
  }

  ids(): string[] {
    return this.offers.map(({ message }) => String(message.properties.messageId));
  }
  bodies(): string[] {
    return this.offers.map(({ message }) => Buffer.from(message.body).toString());
  }

  #pulse(): void {
    if (!this.hasRoom) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

export interface TestRelay {
  readonly relay: Relay;
  /** Ends its connections and lets it never connect again: what a dead process looks like to the others. */
  kill(): Promise<void>;
}

export interface RelayKit {
  readonly db: TestDatabase;
  relay(pipe: PublishPipe, options?: RelayOptions, logger?: Logger): TestRelay;
  /** Writes rows, each statement a transaction. @returns their ids */
  insert(rows: readonly RowSpec[]): Promise<string[]>;
  connect(options?: Partial<ConnectionOptions>): Promise<DatabaseConnection>;
  close(): Promise<void>;
}

export interface RowSpec {
  readonly key?: string;
  readonly body?: string;
  readonly exchange?: string;
  readonly route?: string;
  readonly properties?: string;
  readonly app?: string;
  readonly expiresInMs?: number;
}

export const insertSql = (outbox: string): string => `
INSERT INTO ${outbox} (part, order_key, message_id, exchange, routing_key, body, properties, app_id, expires_at)
SELECT hashtext(coalesce(r->>'key', r->>'exchange', 'thing')) & 63, r->>'key', gen_random_uuid(), coalesce(r->>'exchange', 'thing'),
       coalesce(r->>'route', 'made'), coalesce(r->>'body', '{}'), r->>'properties', r->>'app',
       clock_timestamp() + (r->>'expiresInMs')::float8 * interval '1 ms'
  FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY e(r, n) ORDER BY n
RETURNING id::text`;

/** @param options of the pool; a `url` for another database than the tests' own */
export async function relayKit(prefix: string, options: Partial<PoolOptions> = {}): Promise<RelayKit> {
  const db = await testDatabase(prefix, options);
  const started: TestRelay[] = [];
  return {
    db,
    relay(pipe, options = {}, logger = silentLogger) {
      let isDead = false;
      const connections = new Set<DatabaseConnection>();
      const relay = new Relay({
        async connect({ name, settings }) {
          if (isDead) throw new DatabaseUnavailableError('test', 'killed');
          const connection = await connectDatabase({ url: db.url, applicationName: `${db.schema} ${name}`, settings });
          connections.add(connection);
          connection.lost.addEventListener('abort', () => connections.delete(connection), { once: true });
          return connection;
        },
        pipe,
        schema: db.schema,
        logger,
        options,
      });
      const made: TestRelay = {
        relay,
        async kill() {
          isDead = true;
          await Promise.all([...connections].map((connection) => connection.close()));
        },
      };
      started.push(made);
      return made;
    },
    async insert(rows) {
      const { rows: made } = await db.pg.query(insertSql(db.table('svc_comm_outbox')), [JSON.stringify(rows)]);
      return made.map(({ id }: { id: string }) => id);
    },
    connect: (options = {}) => connectDatabase({ url: db.url, applicationName: db.schema, ...options }),
    async close() {
      await Promise.all(started.map(({ relay }) => relay.stop()));
      await db.close();
    },
  };
}

/** Waits until the condition holds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  const isOver = patience(timeoutMs);
  while (!(await holds())) {
    if (isOver()) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(5);
  }
}
