import type { TransactionsSetting } from '../database/transactions.ts';
import type { LogLevel } from '../lifecycle/logger.ts';
import type { DeclareMode, ExchangeType, QueueType } from '../message/topology.ts';
import type { Duration } from '../util/duration.ts';

/** An exchange: its name (a topic exchange), or its name and type. */
export type ExchangeSetting = string | readonly [name: string, type: ExchangeType];

/** A binding of the queue: an exchange (every routing key, `#`), or an exchange and a pattern. */
export type BindSetting = string | readonly [exchange: string, pattern: string];

export interface QueueSettings {
  /** The work queue's name. @default the appId */
  readonly name?: string | undefined;
  /** @default 'quorum' */
  readonly type?: QueueType | undefined;
  /** One process at a time consumes: key order holds across processes. @default false */
  readonly singleActiveConsumer?: boolean | undefined;
  /** `x-delivery-limit` of a quorum queue. @default none below RabbitMQ 4.0, -1 (no limit) from 4.0 */
  readonly deliveryLimit?: number | undefined;
  /** Further queue arguments, as RabbitMQ names them. @default {} */
  readonly arguments?: Readonly<Record<string, unknown>> | undefined;
}

export interface RetrySettings {
  /** Handler runs in all before the message goes to the dead letters, ≥ 1. @default 5 */
  readonly attempts?: number | undefined;
  /** Waits between the runs. Fewer than attempts - 1: the last repeats. @default ['1s', '5s', '30s', '2m'] */
  readonly delays?: readonly Duration[] | undefined;
  /** How long a failing keyed message is retried in place, its key waiting. @default '10s' */
  readonly inPlace?: Duration | undefined;
  /** Then: `park` the key (those behind it follow into the dead letters in order) or `skip` the message. @default 'park' */
  readonly keyed?: 'park' | 'skip' | undefined;
  /**
   * Deaths of the process in its runs that send a message to the dead letters, ≥ 2: the first beside others, the later
   * ones alone. 0: a message that kills comes back for ever. @default 3
   */
  readonly crashes?: number | undefined;
}

export interface RestApiSettings {
  /** Origin and base path of the API, http:// or https://. */
  readonly host: string;
  /** Path (on `host`) that gives a bearer token for the credential. */
  readonly authUrl?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** What is posted to `authUrl` instead of username and password. */
  readonly credential?: Readonly<Record<string, unknown>> | undefined;
}

export interface HttpSettings {
  /** Address to listen on. @default '127.0.0.1' */
  readonly host?: string | undefined;
  /** @default 8888 */
  readonly port?: number | undefined;
  /** Bearer token that callers must send. @default none: only this machine is served */
  readonly token?: string | undefined;
  /** Names by which the server is called, besides localhost and its addresses; `*` for any. @default [] */
  readonly allowedHosts?: readonly string[] | undefined;
  /** Requests a second of one address; 0: no limit. @default 1000 */
  readonly rateLimit?: number | undefined;
}

/**
 * Settings as given: in `svc-comm.config.*`, or to `createService`. `docs/settings.md` lists each with its default.
 * A duration is a string with its unit (`'500ms'`, `'5s'`, `'2m'`, `'1h'`, `'7d'`); a bare number is taken only
 * where the name says the unit: in seconds, where the name ends in `timeout`.
 */
export interface Settings {
  /** The service's name on every message. @default the name in package.json */
  readonly appId?: string | undefined;
  /** `amqp://` or `amqps://`, one or several nodes of a cluster. @default 'amqp://guest:guest@localhost:5672' */
  readonly brokerUrl?: string | readonly string[] | undefined;
  /** `postgres://`: outbox, inbox and future events live there. @default none */
  readonly databaseUrl?: string | undefined;
  /** The work queue. @default the appId */
  readonly queue?: string | QueueSettings | undefined;
  /** Exchanges that are declared besides those of the consumers. @default [] */
  readonly exchanges?: readonly ExchangeSetting[] | undefined;
  /** Bindings of the queue. @default derived from the registered consumers */
  readonly binds?: readonly BindSetting[] | undefined;
  /** `create` what is missing, `verify` that all is there, or `none`: touch nothing. @default 'create' */
  readonly declare?: DeclareMode | undefined;
  /** Globs of the files that register consumers. */
  readonly consumers?: readonly string[] | undefined;
  /** Globs of the files that define tasks. @default as `consumers`, with `tasks` */
  readonly tasks?: readonly string[] | undefined;
  /** Globs of the files that define contracts, for the documentation. @default as `consumers`, with `contracts` */
  readonly contracts?: readonly string[] | undefined;
  /** Globs of tests whose titles tell in the documentation what tasks and processes do. */
  readonly tests?: readonly string[] | undefined;
  /** Globs of the files that define processes. */
  readonly processes?: readonly string[] | undefined;
  /** Messages that the broker hands out ahead, ≥ 1; so many are in memory, whatever their size. @default 100 */
  readonly prefetch?: number | undefined;
  /** Handlers that run at once, ≥ 1. @default 20 */
  readonly concurrency?: number | undefined;
  readonly retry?: RetrySettings | undefined;
  /**
   * Who opens the handlers' transactions: `knexTransactions()`, or any library's callback form, such as
   * `(work) => prisma.$transaction((tx) => work(tx))`. @default knexTransactions()
   */
  readonly transactions?: TransactionsSetting | undefined;
  /** What becomes of a message that no consumer takes, nor has taken: what a handler has had is kept. @default 'ack' */
  readonly unhandled?: 'ack' | 'dead-letter' | undefined;
  /** A handler that runs longer has failed; a number is seconds. @default '10m' */
  readonly handlerTimeout?: Duration | undefined;
  /** Time for the drain after SIGTERM. @default '30s' */
  readonly gracePeriod?: Duration | undefined;
  /** PostgreSQL schema of our tables. @default 'public' */
  readonly schema?: string | undefined;
  readonly pool?: {
    /** Most connections of the pool. @default concurrency + 5 */
    readonly max?: number | undefined;
  };
  readonly relay?: {
    /** How long a relay may keep its partitions without renewing. @default '10s' */
    readonly lease?: Duration | undefined;
    /** Rows in one read. @default 500 */
    readonly batchSize?: number | undefined;
    /** How often it looks without being notified. @default '1s' */
    readonly poll?: Duration | undefined;
    /** Whether it is woken by LISTEN; off behind a pooler that cannot. @default true */
    readonly listen?: boolean | undefined;
  };
  readonly outbox?: {
    /** An event that reaches no queue: count it and `continue`, or `keep` the row and try again. @default 'continue' */
    readonly unroutable?: 'continue' | 'keep' | undefined;
  };
  readonly inbox?: {
    /** Whether handlers have an inbox unless they say otherwise. @default true when databaseUrl is set */
    readonly enabled?: boolean | undefined;
    /** How long it is remembered that a message was handled. @default '7d' */
    readonly retention?: Duration | undefined;
    /** Most messages that share one transaction, for handlers that do not say; see the consumers' option. @default 1 */
    readonly group?: number | undefined;
  };
  readonly publish?: {
    /** Until a publish without confirm is given up; a number is seconds. @default '30s' */
    readonly timeout?: Duration | undefined;
    /** Most unconfirmed messages. @default 1000 */
    readonly maxInFlight?: number | undefined;
    /** Most bytes of unconfirmed messages. @default 16 MiB */
    readonly maxInFlightBytes?: number | undefined;
  };
  readonly limits?: {
    /** @default 16 MiB */
    readonly bodyBytes?: number | undefined;
    /** Nesting of a body. @default 64 */
    readonly depth?: number | undefined;
    /** Keys of a body in all. @default 10000 */
    readonly keys?: number | undefined;
  };
  readonly worker?: {
    /** Tasks that a worker runs at once, each in a process. @default the number of CPUs */
    readonly concurrency?: number | undefined;
    /** Processes that wait with everything loaded, for each list of variables that tasks declare. @default 2 */
    readonly spare?: number | undefined;
    /** Runs of a process before it is replaced; 1: each run has a fresh one. @default 1 */
    readonly reuse?: number | undefined;
    /** How long a task stays with a worker that does not renew: the time of a hand-over. @default '30s' */
    readonly lease?: Duration | undefined;
    /** From SIGTERM to SIGKILL, at a task's cancel or timeout. @default '5s' */
    readonly grace?: Duration | undefined;
    /** Memory of a task's processes together; more ends it. @default 1 GiB */
    readonly memoryBytes?: number | undefined;
    /** Processes that a task has at once, with those that it starts; more ends it. @default 256 */
    readonly processes?: number | undefined;
    /** Longest result of a task, as JSON. @default 1 MiB */
    readonly resultBytes?: number | undefined;
    /** The end of what a task prints that is kept with it. @default 64 KiB */
    readonly logBytes?: number | undefined;
    /** How often a worker looks at the tables without being notified. @default '1s' */
    readonly poll?: Duration | undefined;
  };
  /** Instances of processes. */
  readonly instances?: {
    /**
     * Headers of a request that the steps of a process see; none that carries credentials.
     * @default ['accept-language', 'content-type', 'user-agent', 'x-request-id', 'traceparent']
     */
    readonly headers?: readonly string[] | undefined;
    /** How long one that is being created stays with a server that does not renew. @default '30s' */
    readonly lease?: Duration | undefined;
    /** How long one that has ended can be asked for. @default '30d' */
    readonly retention?: Duration | undefined;
    /** Folder that the task `csv.write` writes in, below the project's. @default 'data' */
    readonly folder?: string | undefined;
  };
  /** AMQP heartbeat, in whole seconds. @default '30s' */
  readonly heartbeat?: Duration | undefined;
  /** Telling other services of this one, and hearing of them. No effect with `declare: 'none'`: it is off then. */
  readonly discovery?: {
    /** @default true */
    readonly enabled?: boolean | undefined;
    /** How often a service says that it is there, 1s to 60s; two and a half of them unheard, and it is gone. @default '10s' */
    readonly heartbeat?: Duration | undefined;
  };
  readonly telemetry?: {
    /** Whether spans are made for OpenTelemetry; traces are passed on all the same. @default true */
    readonly spans?: boolean | undefined;
  };
  /** Where `svc-comm run…` and `serve` tell of metrics and health: `/metrics`, `/health`, `/health/ready`. */
  readonly monitor?: {
    /** @default '127.0.0.1' */
    readonly host?: string | undefined;
    /** 0 takes a free one. @default none: they do not tell */
    readonly port?: number | undefined;
  };
  /** When a consumer's connection that is alive and brings nothing, though messages wait, is given up for another. */
  readonly stall?: {
    /** How often a consumer that is brought nothing asks whether something waits. @default '5s' */
    readonly every?: Duration | undefined;
    /** How long messages may wait so; 0: for ever. @default '30s' */
    readonly after?: Duration | undefined;
  };
  /** For one connection attempt, broker and database; a number is seconds. @default '10s' */
  readonly connectTimeout?: Duration | undefined;
  readonly deadline?: {
    /** How long past its deadline a command is still executed. @default 0 */
    readonly skewTolerance?: Duration | undefined;
  };
  /** @default 'info' */
  readonly logLevel?: LogLevel | undefined;
  /**
   * Whether a start waits for a broker or database that is down; a duration: for so long; false: it fails at once.
   * @default true; 30 s for commands that end by themselves
   */
  readonly wait?: boolean | Duration | undefined;
  readonly restApi?: RestApiSettings | undefined;
  readonly http?: HttpSettings | undefined;
}

/**
 * Types the object that `svc-comm.config.*` exports; returns it as it is. It is checked when it is loaded.
 * @example
 * export default defineConfig({ appId: 'orders', databaseUrl: 'postgres://localhost/orders' });
 */
export function defineConfig(settings: Settings): Settings {
  return settings;
}
