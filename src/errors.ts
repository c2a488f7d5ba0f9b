import { inspect, types } from 'node:util';
import { type Duration, MAX_KEPT_MS, parseDuration } from './parse-duration.ts';

/**
 * Every failure that svc-comm reports is one of these classes: a stable `code` to switch on, the data as readonly
 * fields, a sentence that says what happened and what to do, and the native `cause`. `docs/errors.md` lists each code
 * (a test keeps the two equal). No class ever carries a credential: URLs pass `maskUrl` before they reach a text.
 */
export abstract class SvcCommError extends Error {
  /** Stable, `SVC_COMM_…`. Texts may change between releases; codes do not. */
  abstract readonly code: string;
  override get name(): string {
    return this.constructor.name;
  }
}

/** Where a setting's value came from: a file, an environment variable, a command-line option, or code. */
export type SettingOrigin = string;

export interface SettingProblem {
  /** Path of the setting, e.g. `retry.delays.0`. */
  readonly setting: string;
  readonly expected: string;
  /** What was given, masked. */
  readonly got: string;
  readonly from: SettingOrigin;
}

/** A setting is missing or wrong. Nothing was started; mend the named settings and start again. */
export class SettingsError extends SvcCommError {
  readonly code = 'SVC_COMM_SETTINGS';
  readonly problems: readonly SettingProblem[];
  constructor(problems: readonly SettingProblem[], options?: ErrorOptions) {
    const lines = problems.map((p) => `${p.setting}: expected ${p.expected}, got ${p.got} (from ${p.from})`);
    super(`settings are wrong:\n  ${lines.join('\n  ')}`, options);
    this.problems = problems;
  }
}

/** The command line names a command, an option or an argument that does not exist. Nothing was done. */
export class UsageError extends SvcCommError {
  readonly code = 'SVC_COMM_USAGE';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** A value handed to a function of ours is not what it takes. Nothing was written or sent. */
export class InvalidArgumentError extends SvcCommError {
  readonly code = 'SVC_COMM_INVALID_ARGUMENT';
  readonly argument: string;
  readonly expected: string;
  readonly got: string;
  constructor(argument: string, expected: string, got: string, options?: ErrorOptions) {
    super(`${argument}: expected ${expected}, got ${got}`, options);
    this.argument = argument;
    this.expected = expected;
    this.got = got;
  }
}

/** A service was used before it was started, or after it was stopped. */
export class NotRunningError extends SvcCommError {
  readonly code = 'SVC_COMM_NOT_RUNNING';
  readonly service: string;
  constructor(service: string, state: string) {
    super(`${service} is ${state}: start it before use, and do not use it after stop`);
    this.service = service;
  }
}

/** A test service did not come to rest in the time given: something moves without an end, or is stuck. */
export class NotSettledError extends SvcCommError {
  readonly code = 'SVC_COMM_NOT_SETTLED';
  readonly timeoutMs: number;
  /** What was still under way, such as `3 rows in the outbox`. */
  readonly pending: readonly string[];
  constructor(timeoutMs: number, pending: readonly string[], options?: ErrorOptions) {
    super(
      `not settled within ${timeoutMs} ms: ${pending.join(', ')}; look for a handler that does not return, one that fails and is run again in place (messages with a key, retry.inPlace) or events that cause each other, or give it more time`,
      options,
    );
    this.timeoutMs = timeoutMs;
    this.pending = pending;
  }
}

/** `stop` was called while `start` was still under way, so the start was given up. */
export class StartAbortedError extends SvcCommError {
  readonly code = 'SVC_COMM_START_ABORTED';
  readonly service: string;
  constructor(service: string, options?: ErrorOptions) {
    super(`${service} was stopped while it was starting`, options);
    this.service = service;
  }
}

// ---------------------------------------------------------------------------------------------------------- messages

/** A payload that JSON cannot carry: a cycle, a BigInt, undefined, a function. Nothing was written or sent. */
export class UnserialisablePayloadError extends SvcCommError {
  readonly code = 'SVC_COMM_UNSERIALISABLE_PAYLOAD';
  /** Path to the offending value, e.g. `payload.items[3].price`. */
  readonly path: string;
  constructor(path: string, why: string, options?: ErrorOptions) {
    super(
      `${path} cannot be written as JSON: ${why}; turn it into a string, a number, an array or a plain object`,
      options,
    );
    this.path = path;
  }
}

/** A body or a header block over the limit. It was refused before anything was written or sent. */
export class MessageTooLargeError extends SvcCommError {
  readonly code = 'SVC_COMM_MESSAGE_TOO_LARGE';
  readonly bytes: number;
  readonly limitBytes: number;
  constructor(what: string, bytes: number, limitBytes: number) {
    super(
      `${what} has ${bytes} bytes, the limit is ${limitBytes}; store the content elsewhere and send a reference to it`,
    );
    this.bytes = bytes;
    this.limitBytes = limitBytes;
  }
}

/** Issues of a schema that are named in a text. */
const MOST_ISSUES = 10;

/** What was to be sent is not what its contract says. Nothing was written or sent. */
export class ContractViolationError extends SvcCommError {
  readonly code = 'SVC_COMM_CONTRACT_VIOLATION';
  /** `event user update.base`. */
  readonly contract: string;
  /** The schema's own words, each with its path. */
  readonly issues: readonly string[];
  constructor(contract: string, issues: readonly string[]) {
    const more = issues.length > MOST_ISSUES ? `; and ${issues.length - MOST_ISSUES} more` : '';
    super(`${contract} is not as its contract says: ${issues.slice(0, MOST_ISSUES).join('; ')}${more}`);
    this.contract = contract;
    this.issues = issues;
  }
}

export type MalformedReason =
  | 'not-json'
  | 'no-envelope'
  | 'too-large'
  | 'too-deep'
  | 'too-many-keys'
  | 'forbidden-key'
  | 'encoding'
  | 'invalid-time'
  | 'contract';

/** A received message that cannot be read. The consumer puts it into the dead letters at once. */
export class MalformedMessageError extends SvcCommError {
  readonly code = 'SVC_COMM_MALFORMED_MESSAGE';
  readonly reason: MalformedReason;
  constructor(reason: MalformedReason, detail: string, options?: ErrorOptions) {
    super(`malformed message (${reason}): ${detail}`, options);
    this.reason = reason;
  }
}

// ------------------------------------------------------------------------------------------------------------ broker

/** No connection to the broker within the time given. Whatever was in flight is *unknown*: send it again with its id. */
export class BrokerUnavailableError extends SvcCommError {
  readonly code = 'SVC_COMM_BROKER_UNAVAILABLE';
  /** Masked URLs that were tried. */
  readonly urls: readonly string[];
  constructor(urls: readonly string[], detail: string, options?: ErrorOptions) {
    super(
      `no connection to the broker at ${urls.join(', ')}: ${detail}; check that it runs and that brokerUrl is right`,
      options,
    );
    this.urls = urls;
  }
}

/** The broker refused our credentials or the virtual host. It is not tried again: mend `brokerUrl`. */
export class BrokerAccessRefusedError extends SvcCommError {
  readonly code = 'SVC_COMM_BROKER_ACCESS_REFUSED';
  readonly url: string;
  constructor(url: string, detail: string, options?: ErrorOptions) {
    super(
      `the broker at ${url} refused access: ${detail}; check user, password, virtual host and permissions`,
      options,
    );
    this.url = url;
  }
}

/** Broker and client do not trust each other's certificate, or one of them speaks no TLS. */
export class BrokerTlsError extends SvcCommError {
  readonly code = 'SVC_COMM_BROKER_TLS';
  readonly url: string;
  constructor(url: string, detail: string, advice: string, options?: ErrorOptions) {
    super(`no TLS connection to the broker at ${url}: ${detail.trim()}; ${advice}`, options);
    this.url = url;
  }
}

/** No queue is bound for this exchange and routing key, so the broker gave the message back. */
export class UnroutableError extends SvcCommError {
  readonly code = 'SVC_COMM_UNROUTABLE';
  readonly exchange: string;
  readonly routingKey: string;
  constructor(exchange: string, routingKey: string, detail = 'no queue is bound for it') {
    super(
      `message to exchange "${exchange}" with routing key "${routingKey}" reached no queue: ${detail}; ` +
        'check the names, and that the receiving service has declared its queue and bindings',
    );
    this.exchange = exchange;
    this.routingKey = routingKey;
  }
}

/** @param reason the broker's own word */
const blocked = (reason: string): string =>
  `the broker takes no publishes (${reason}): make room there, \`rabbitmqctl status\` shows its alarms`;

/** A call that the broker may not have had. */
const UNCONFIRMED = 'the broker did not confirm the call: check its log and its load, or give it more time';

/** The broker did not confirm in time. Whether it took the message is unknown: send it again with the same message id. */
export class PublishTimeoutError extends SvcCommError {
  readonly code = 'SVC_COMM_PUBLISH_TIMEOUT';
  readonly exchange: string;
  readonly routingKey: string;
  readonly timeoutMs: number;
  /** Why the broker takes no publishes at the moment, in its own words (`low on disk`); undefined: it says nothing of it. */
  readonly blockedReason: string | undefined;
  constructor(
    exchange: string,
    routingKey: string,
    timeoutMs: number,
    { blockedReason, ...options }: ErrorOptions & { readonly blockedReason?: string | undefined } = {},
  ) {
    super(
      `the broker did not confirm a message to exchange "${exchange}" (routing key "${routingKey}") within ${timeoutMs} ms` +
        `${blockedReason === undefined ? '' : `: ${blocked(blockedReason)}`}; ` +
        'it may or may not have taken it: send it again with the same message id',
      options,
    );
    this.exchange = exchange;
    this.routingKey = routingKey;
    this.timeoutMs = timeoutMs;
    this.blockedReason = blockedReason;
  }
}

/** The broker refused this message: a negative confirm (full queue), a missing exchange, or no permission. */
export class PublishRefusedError extends SvcCommError {
  readonly code = 'SVC_COMM_PUBLISH_REFUSED';
  readonly exchange: string;
  readonly routingKey: string;
  constructor(exchange: string, routingKey: string, detail: string, options?: ErrorOptions) {
    super(`the broker refused a message to exchange "${exchange}" (routing key "${routingKey}"): ${detail}`, options);
    this.exchange = exchange;
    this.routingKey = routingKey;
  }
}

/** More was offered than may be in flight. Nothing was sent: wait for `room()` and offer it again. */
export class BackpressureError extends SvcCommError {
  readonly code = 'SVC_COMM_BACKPRESSURE';
  readonly inFlight: number;
  constructor(inFlight: number) {
    super(`${inFlight} messages are in flight already, which is all that may be: wait for room() and offer again`);
    this.inFlight = inFlight;
  }
}

/** The queue cannot be read from: it is missing, another consumer has it for itself, or we lack the permission. */
export class QueueUnavailableError extends SvcCommError {
  readonly code = 'SVC_COMM_QUEUE_UNAVAILABLE';
  readonly queue: string;
  constructor(queue: string, detail: string, options?: ErrorOptions) {
    super(`queue "${queue}" cannot be read from: ${detail}; check that it is declared, and the permissions`, options);
    this.queue = queue;
  }
}

/** The exchange cannot be watched: it is missing, or we lack the permission. */
export class ExchangeUnavailableError extends SvcCommError {
  readonly code = 'SVC_COMM_EXCHANGE_UNAVAILABLE';
  readonly exchange: string;
  constructor(exchange: string, detail: string, options?: ErrorOptions) {
    super(
      `exchange "${exchange}" cannot be watched: ${detail}; check its name, and the permissions to read it and to make a queue`,
      options,
    );
    this.exchange = exchange;
  }
}

/** Nobody can be asked which services are there: the setting is off, or the broker does not permit it. */
export class DiscoveryUnavailableError extends SvcCommError {
  readonly code = 'SVC_COMM_DISCOVERY_UNAVAILABLE';
  readonly reason: string;
  constructor(reason: string, options?: ErrorOptions) {
    super(`which services are there cannot be asked: ${reason}`, options);
    this.reason = reason;
  }
}

/** No service of this name has said lately that it is there. */
export class UnknownServiceError extends SvcCommError {
  readonly code = 'SVC_COMM_UNKNOWN_SERVICE';
  readonly service: string;
  /** Those that are. */
  readonly services: readonly string[];
  constructor(service: string, services: readonly string[]) {
    const others = services.length === 0 ? 'nobody is' : `there are ${services.join(', ')}`;
    super(`no service "${service}" is there: ${others}`);
    this.service = service;
    this.services = services;
  }
}

export interface TopologyDifference {
  /** `queue "orders"`, `exchange "user"`. */
  readonly what: string;
  readonly wanted: string;
  readonly found: string;
  readonly todo: string;
}

/** Queues or exchanges on the broker are not as the settings want them. Nothing was changed. */
export class TopologyMismatchError extends SvcCommError {
  readonly code = 'SVC_COMM_TOPOLOGY_MISMATCH';
  readonly differences: readonly TopologyDifference[];
  constructor(differences: readonly TopologyDifference[], options?: ErrorOptions) {
    const lines = differences.map((d) => `${d.what}: wanted ${d.wanted}, found ${d.found}; ${d.todo}`);
    super(`the broker's topology differs from the settings:\n  ${lines.join('\n  ')}`, options);
    this.differences = differences;
  }
}

// ---------------------------------------------------------------------------------------------------------- database

/** Why there is no working with a database. */
export type DatabaseOutage = 'unreachable' | 'full' | 'read-only' | 'disk-full';

const OUTAGES: Readonly<Record<DatabaseOutage, (where: string, detail: string) => string>> = Object.freeze({
  unreachable: (where, detail) =>
    `no connection to ${where}: ${detail}; check that it runs and that databaseUrl is right`,
  full: (where, detail) =>
    `${where} takes no more connections: ${detail}; lower pool.max, run fewer processes, put a pooler before it, ` +
    'or raise max_connections (or the limit of the role or the database)',
  'read-only': (where, detail) =>
    `${where} refuses writes: ${detail}; it is a standby, or default_transaction_read_only is on`,
  'disk-full': (where, detail) =>
    `${where} has no room on its disk: ${detail}; make room there, and what waits goes on by itself`,
});

/** The database could not be reached within the time given, has no connection to spare, refuses writes, or has a full disk. */
export class DatabaseUnavailableError extends SvcCommError {
  readonly code = 'SVC_COMM_DATABASE_UNAVAILABLE';
  /** Masked; empty for a statement of a transaction that another library opened, and for a request to a plugin of ours. */
  readonly url: string;
  readonly outage: DatabaseOutage;
  constructor(url: string, detail: string, options: ErrorOptions & { readonly outage?: DatabaseOutage } = {}) {
    const { outage = 'unreachable', ...rest } = options;
    super(OUTAGES[outage](url === '' ? 'the database' : `the database at ${url}`, detail), rest);
    this.url = url;
    this.outage = outage;
  }
}

/**
 * The database refused our credentials, or has no such database. A start does not try again: mend `databaseUrl`. A process
 * that runs does, with a warning: what comes waits, without an attempt counted.
 */
export class DatabaseAccessRefusedError extends SvcCommError {
  readonly code = 'SVC_COMM_DATABASE_ACCESS_REFUSED';
  /** Masked; empty for a transaction that another library opens. */
  readonly url: string;
  constructor(url: string, detail: string, options?: ErrorOptions) {
    super(
      `${url === '' ? 'the database' : `the database at ${url}`} refused access: ${detail}; check user, password and database name`,
      options,
    );
    this.url = url;
  }
}

/**
 * The user of `databaseUrl` may not use our tables. Nothing is started with it; taken away from a process that runs, what
 * comes waits, without an attempt counted, until the right is there again.
 */
export class DatabaseRightsError extends SvcCommError {
  readonly code = 'SVC_COMM_DATABASE_RIGHTS';
  constructor(detail: string, options?: ErrorOptions) {
    super(
      `the database user may not use our tables: ${detail}; GRANT USAGE on the schema, and SELECT, INSERT, UPDATE, DELETE ` +
        'on the tables (`svc-comm doctor` names those that lack it)',
      options,
    );
  }
}

/** No connection was free within 10 s: open transactions hold them all. */
export class DatabaseBusyError extends SvcCommError {
  readonly code = 'SVC_COMM_DATABASE_BUSY';
  readonly waitedMs: number;
  /** What holds connections in this process: handler names. */
  readonly holders: readonly string[];
  constructor(waitedMs: number, holders: readonly string[], options?: ErrorOptions) {
    const who = holders.length ? `held by open transactions of: ${holders.join(', ')}` : 'held by open transactions';
    super(
      `no database connection was free within ${waitedMs} ms, ${who}; ` +
        'inside a handler use context.transaction instead of another connection, or raise pool.max',
      options,
    );
    this.waitedMs = waitedMs;
    this.holders = holders;
  }
}

/** `databaseUrl` is `embedded:`, and the package that it needs is not installed. */
export class EmbeddedDatabaseMissingError extends SvcCommError {
  readonly code = 'SVC_COMM_EMBEDDED_DATABASE_MISSING';
  constructor(options?: ErrorOptions) {
    super(
      'the embedded database needs the package @electric-sql/pglite 0.5.14, which is not installed or does not load; ' +
        'run `npm install @electric-sql/pglite@0.5.14`, or set databaseUrl to a PostgreSQL server',
      options,
    );
  }
}

/**
 * An embedded broker or database cannot use its state: it cannot be read or written, the disk is full, or what is there is
 * damaged or of another version.
 */
export class EmbeddedStateError extends SvcCommError {
  readonly code = 'SVC_COMM_EMBEDDED_STATE';
  /** Folder or file. */
  readonly path: string;
  constructor(server: 'broker' | 'database', path: string, detail: string, options?: ErrorOptions) {
    super(
      `the embedded ${server} could not be started on its state in ${path}: ${detail}; check that you may write there ` +
        'and that the disk has room; if it is damaged, or of another version, stop every process of the project and move ' +
        'it away to start afresh',
      options,
    );
    this.path = path;
  }
}

/** The setting by which PostgreSQL ended a transaction. */
export type TransactionLimit = 'idle_in_transaction_session_timeout' | 'transaction_timeout';

/**
 * PostgreSQL ended the transaction, and its connection, by a time limit of its own: it did nothing for too long, or took too
 * long in all. Nothing of it was written.
 */
export class TransactionTimeoutError extends SvcCommError {
  readonly code = 'SVC_COMM_TRANSACTION_TIMEOUT';
  readonly limit: TransactionLimit;
  constructor(limit: TransactionLimit, options?: ErrorOptions) {
    const why = limit === 'transaction_timeout' ? 'took too long' : 'waited for too long between two statements';
    super(
      `PostgreSQL ended the transaction, which ${why} (${limit}): nothing of it was written; do what takes its time ` +
        `outside of the transaction, or raise ${limit} for this user`,
      options,
    );
    this.limit = limit;
  }
}

/** A table of ours is missing. */
export class MigrationRequiredError extends SvcCommError {
  readonly code = 'SVC_COMM_MIGRATION_REQUIRED';
  readonly table: string;
  constructor(table: string, options?: ErrorOptions) {
    super(`table ${table} does not exist: run \`svc-comm migrate\``, options);
    this.table = table;
  }
}

/** The user of `databaseUrl` may not make or change our tables. Nothing was changed. */
export class MigrationRightsError extends SvcCommError {
  readonly code = 'SVC_COMM_MIGRATION_RIGHTS';
  readonly schema: string;
  constructor(schema: string, detail: string, options?: ErrorOptions) {
    super(
      `the database user may not migrate schema ${schema}: ${detail}; run \`svc-comm migrate\` as the owner of our tables ` +
        'there, with CREATE on the schema (on the database, when the schema is to be made)',
      options,
    );
    this.schema = schema;
  }
}

/** A session whose transaction has locks on our tables. */
export interface TableHolder {
  readonly pid: number;
  /** `application_name`; '' when it has none. */
  readonly application: string;
  /** Age of its transaction. */
  readonly seconds: number;
  /** Whether it waits for its client: `idle in transaction`. */
  readonly isIdle: boolean;
}

/** Transactions of others kept the tables from being changed for as long as `svc-comm migrate` waits. Nothing was changed. */
export class MigrationBlockedError extends SvcCommError {
  readonly code = 'SVC_COMM_MIGRATION_BLOCKED';
  readonly schema: string;
  /** A few of them, the oldest transaction first. */
  readonly holders: readonly TableHolder[];
  /** @param who the holders, for a sentence */
  constructor(schema: string, who: string, holders: readonly TableHolder[], options?: ErrorOptions) {
    super(
      `the tables in schema ${schema} could not be changed: they are locked by ${who}; end it and run ` +
        '`svc-comm migrate` again, or have it wait longer (SVC_COMM_WAIT=5m)',
      options,
    );
    this.schema = schema;
    this.holders = holders;
  }
}

/** A publish that must be transactional found no transaction. Nothing was written. */
export class TransactionRequiredError extends SvcCommError {
  readonly code = 'SVC_COMM_TRANSACTION_REQUIRED';
  constructor(what: string) {
    super(
      `${what} found no transaction: call it inside transaction(async (trx) => …) or a handler, ` +
        "hand yours over with { transaction: trx }, or say { transaction: 'own' } to give it one of its own",
    );
  }
}

/** The handle given is a pool, a client outside a transaction, or no handle at all: an event written by it could outlive a rollback. */
export class NotATransactionError extends SvcCommError {
  readonly code = 'SVC_COMM_NOT_A_TRANSACTION';
  /** What the handle looks like: `knex`, `pg`, … or `unknown`. */
  readonly library: string;
  constructor(library: string, detail: string) {
    super(
      `the transaction given is not one (${library}): ${detail}; hand over the handle that your library's transaction callback gets`,
    );
    this.library = library;
  }
}

/** The transaction has already been committed or rolled back. Nothing was written. */
export class TransactionFinishedError extends SvcCommError {
  readonly code = 'SVC_COMM_TRANSACTION_FINISHED';
  constructor(options?: ErrorOptions) {
    super(
      'the transaction has ended already: publish before its callback returns, and await what you call in it',
      options,
    );
  }
}

/**
 * A transaction was over before its work was: the work ended it, and not by returning or throwing, or its library did.
 * What had been written until a commit is there; what was published in it is not. A message whose handler committed so goes
 * to the dead letters at once; one whose transaction is known to be rolled back is tried again.
 */
export class TransactionEndedInsideError extends SvcCommError {
  readonly code = 'SVC_COMM_TRANSACTION_ENDED_INSIDE';
  /** What became of it, as far as PostgreSQL could be asked. */
  readonly fate: 'committed' | 'aborted' | 'unknown';
  constructor(fate: TransactionEndedInsideError['fate'], options?: ErrorOptions) {
    const left =
      fate === 'aborted'
        ? 'it is rolled back, and nothing of it is there'
        : 'what was committed stays, and what was published in it is lost';
    super(
      'the transaction was ended before its work was, by commit() or rollback() of its handle, by COMMIT or ROLLBACK as ' +
        `SQL, or by its library when the time that this gives it was over: ${left}; end it by returning or throwing, ` +
        'not by a commit or rollback',
      options,
    );
    this.fate = fate;
  }
}

/** The connection was lost at COMMIT, and PostgreSQL says that it did not take place: nothing was written. Do it again. */
export class CommitAbortedError extends SvcCommError {
  readonly code = 'SVC_COMM_COMMIT_ABORTED';
  readonly transactionId: string;
  constructor(transactionId: string, options?: ErrorOptions) {
    super(
      `the connection was lost at COMMIT, and PostgreSQL says that transaction ${transactionId} was rolled back: nothing ` +
        'was written, do it again',
      options,
    );
    this.transactionId = transactionId;
  }
}

/**
 * The connection was lost at COMMIT, and PostgreSQL could not be asked in time what became of it. Read your own rows
 * before you do it again.
 */
export class CommitUnknownError extends SvcCommError {
  readonly code = 'SVC_COMM_COMMIT_UNKNOWN';
  /** For `SELECT pg_xact_status('…')`; undefined when it was not learned. */
  readonly transactionId: string | undefined;
  constructor(transactionId: string | undefined, options?: ErrorOptions) {
    const ask = transactionId === undefined ? '' : `, or ask with SELECT pg_xact_status('${transactionId}')`;
    super(
      `the connection was lost at COMMIT and whether it took place is unknown: look at what it wrote${ask}`,
      options,
    );
    this.transactionId = transactionId;
  }
}

/** An earlier statement of the transaction failed (25P02): PostgreSQL can only roll it back now. Nothing was written. */
export class TransactionAbortedError extends SvcCommError {
  readonly code = 'SVC_COMM_TRANSACTION_ABORTED';
  constructor(options?: ErrorOptions) {
    super(
      'an earlier statement of this transaction failed, so PostgreSQL can only roll it back: let that error leave ' +
        'the transaction, or put the statement that may fail into a nested transaction() (a savepoint)',
      options,
    );
  }
}

/** Two transactions took the same keys in two orders and PostgreSQL ended this one (40P01). Nothing of it was written. */
export class DeadlockError extends SvcCommError {
  readonly code = 'SVC_COMM_DEADLOCK';
  constructor(options?: ErrorOptions) {
    super('deadlock with another transaction (40P01): retry the transaction', options);
  }
}

// ------------------------------------------------------------------------------------------------------------ router

/** A routing pattern, exchange or queue name that AMQP cannot carry. */
export class InvalidNameError extends SvcCommError {
  readonly code = 'SVC_COMM_INVALID_NAME';
  readonly what: string;
  constructor(what: string, value: string, why: string) {
    super(`${what} ${JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)} ${why}`);
    this.what = what;
  }
}

/** Two consumers for the same exchange and pattern: one message has one handler. */
export class DuplicateConsumerError extends SvcCommError {
  readonly code = 'SVC_COMM_DUPLICATE_CONSUMER';
  readonly route: string;
  constructor(route: string, first: string, second: string) {
    super(
      `${route} has two consumers, ${first} and ${second}: a message goes to one; remove one or narrow its pattern`,
    );
    this.route = route;
  }
}

/** A class has decorated instance methods, but no instance of it was given to `messageRouter.register()`. */
export class UnregisteredConsumerError extends SvcCommError {
  readonly code = 'SVC_COMM_UNREGISTERED_CONSUMER';
  readonly consumers: readonly string[];
  constructor(consumers: readonly string[]) {
    super(
      `${consumers.join(', ')}: decorated instance methods whose class was never registered; ` +
        'call messageRouter.register(new …), or make the methods static',
    );
    this.consumers = consumers;
  }
}

/**
 * `consumer`, `eventConsumer` or their like were put on something that is not a method or a function; or a service was to
 * consume without the router that has the consumers; or a consumer is registered with another copy of this package.
 */
export class InvalidConsumerError extends SvcCommError {
  readonly code = 'SVC_COMM_INVALID_CONSUMER';
  constructor(what: string, why: string) {
    super(`${what}: ${why}`);
  }
}

/** No file matched the `consumers` setting, or none of those found registered a consumer. */
export class NoConsumersError extends SvcCommError {
  readonly code = 'SVC_COMM_NO_CONSUMERS';
  readonly lookedIn: readonly string[];
  constructor(lookedIn: readonly string[], why: string) {
    super(`${why}; looked in ${lookedIn.join(', ')}`);
    this.lookedIn = lookedIn;
  }
}

/** A file of the user's project could not be loaded. */
export class ModuleLoadError extends SvcCommError {
  readonly code = 'SVC_COMM_MODULE_LOAD';
  readonly file: string;
  constructor(file: string, options?: ErrorOptions) {
    super(`${file} could not be loaded: ${reasonOf(options?.cause)}`, options);
    this.file = file;
  }
}

/** A handler ran longer than its budget. The attempt failed; its signal was aborted. */
export class HandlerTimeoutError extends SvcCommError {
  readonly code = 'SVC_COMM_HANDLER_TIMEOUT';
  readonly handler: string;
  readonly timeoutMs: number;
  constructor(handler: string, timeoutMs: number) {
    super(`handler ${handler} ran longer than ${timeoutMs} ms; pass context.signal on, or raise handlerTimeout`);
    this.handler = handler;
    this.timeoutMs = timeoutMs;
  }
}

/** The channel that brought the message is gone: the broker delivers it again, so what this run does may be done twice. */
export class DeliveryLostError extends SvcCommError {
  readonly code = 'SVC_COMM_DELIVERY_LOST';
  readonly queue: string;
  constructor(queue: string) {
    super(`the channel that brought this message from queue ${queue} is lost; the broker delivers the message again`);
    this.queue = queue;
  }
}

/** The consumer is stopping and its grace time is over: the handler's message was given back to the queue. */
export class HandlerStoppedError extends SvcCommError {
  readonly code = 'SVC_COMM_HANDLER_STOPPED';
  readonly graceMs: number;
  constructor(graceMs: number) {
    super(`the consumer is stopping and the handler did not end within ${graceMs} ms; its message was given back`);
    this.graceMs = graceMs;
  }
}

/** An earlier message of the same key was given up, so this one waits behind it in the dead letters. */
export class KeyParkedError extends SvcCommError {
  readonly code = 'SVC_COMM_KEY_PARKED';
  readonly key: string;
  constructor(key: string) {
    super(`an earlier message of key ${JSON.stringify(key)} is in the dead letters: redrive it first, then this one`);
    this.key = key;
  }
}

/** The process died each time it handled this message, the last times with no other beside it. It was not run again. */
export class CrashingMessageError extends SvcCommError {
  readonly code = 'SVC_COMM_CRASHING_MESSAGE';
  readonly deaths: number;
  constructor(deaths: number) {
    super(
      `the process died ${deaths} times while it handled this message: see its log, mend the handler, then redrive`,
    );
    this.deaths = deaths;
  }
}

/** No consumer takes messages of this route; register one, or narrow the queue's bindings. */
export class UnhandledMessageError extends SvcCommError {
  readonly code = 'SVC_COMM_UNHANDLED_MESSAGE';
  readonly exchange: string;
  readonly routingKey: string;
  constructor(exchange: string, routingKey: string) {
    super(
      `no consumer takes messages of exchange "${exchange}" with routing key "${routingKey}": register one, or narrow the binds`,
    );
    this.exchange = exchange;
    this.routingKey = routingKey;
  }
}

/**
 * A handler threw something that is no Error, or an Error whose name or message is no text. It counts as a failed run;
 * throw an Error, so that it has a stack.
 */
export class ThrownValueError extends SvcCommError {
  readonly code = 'SVC_COMM_THROWN_VALUE';
  constructor(value: string, lack = 'is no Error') {
    super(`the handler threw ${value}, which ${lack}`);
  }
}

/** Thrown by a handler: this message will never succeed. It goes to the dead letters at once, with this reason. */
export class Reject extends SvcCommError {
  readonly code = 'SVC_COMM_REJECT';
  constructor(reason: string, options?: ErrorOptions) {
    super(reason, options);
  }
}

/**
 * Thrown by a handler: try this message again after about `delayMs` milliseconds, given as a duration (`'1m'`) or as their
 * number. One with a key waits at most for what is left of `retry.inPlace` (10 s), its key waiting with it. One without waits in the database, if there is one, when that is
 * longer than every delay of `retry.delays`: only a running relay (`runpublisher`) brings it back.
 */
export class RetryLater extends SvcCommError {
  readonly code = 'SVC_COMM_RETRY_LATER';
  readonly delayMs: number;
  /** @param delay a duration such as '1m', or milliseconds; more than 0 and at most a hundred years */
  constructor(delay: Duration, reason?: string, options?: ErrorOptions) {
    const delayMs = parseDuration(delay);
    if (delayMs === undefined || delayMs === 0 || delayMs > MAX_KEPT_MS) {
      const expected = "a duration such as '30s' or a number of milliseconds, above 0 and at most a hundred years";
      throw new InvalidArgumentError('RetryLater delayMs', expected, String(delay));
    }
    super(reason ?? `retry later, in ${delayMs} ms`, options);
    this.delayMs = delayMs;
  }
}

// ------------------------------------------------------------------------------------------------ commands and calls

/** The deadline of a command or call has come. It is the reason of `context.signal` then. */
export class DeadlineExceededError extends SvcCommError {
  readonly code = 'SVC_COMM_DEADLINE_EXCEEDED';
  readonly deadline: Date;
  constructor(deadline: Date, what = 'what is being handled') {
    super(`the deadline of ${what} has come: ${deadline.toISOString()}`);
    this.deadline = deadline;
  }
}

/**
 * No answer to a call came before its deadline. Whether the callee did what it was asked is unknown. Of a broker that takes
 * no publishes (an alarm) neither the call nor an answer comes through, and the text says so.
 */
export class CallTimeoutError extends SvcCommError {
  readonly code = 'SVC_COMM_CALL_TIMEOUT';
  readonly service: string;
  readonly method: string;
  readonly callId: string;
  readonly timeoutMs: number;
  constructor(
    { service, method, callId, timeoutMs }: CallData & { timeoutMs: number },
    { blockedReason, ...options }: ErrorOptions & { readonly blockedReason?: string | undefined } = {},
  ) {
    const todo =
      options.cause instanceof PublishTimeoutError ? UNCONFIRMED : 'check that its consumer runs, or give it more time';
    super(
      `no answer from "${service}" to "${method}" within ${timeoutMs} ms: ` +
        `${blockedReason === undefined ? todo : blocked(blockedReason)}; whether it did what it was asked is unknown`,
      options,
    );
    this.service = service;
    this.method = method;
    this.callId = callId;
    this.timeoutMs = timeoutMs;
  }
}

/** The way back of a call's answer was lost after the call had been sent. Whether the callee did it is unknown. */
export class CallLostError extends SvcCommError {
  readonly code = 'SVC_COMM_CALL_LOST';
  readonly service: string;
  readonly method: string;
  readonly callId: string;
  constructor({ service, method, callId }: CallData) {
    super(
      `the way back was lost while "${service}" was being asked for "${method}": its answer cannot come, and ` +
        'whether it did what it was asked is unknown; call again if that does no harm',
    );
    this.service = service;
    this.method = method;
    this.callId = callId;
  }
}

/** What was asked of a service failed there. `remoteCode` and the text are the callee's own. */
export class RemoteError extends SvcCommError {
  readonly code = 'SVC_COMM_REMOTE';
  /** `service.method`. */
  readonly callee: string;
  /** The `code` of the error that the callee threw, else its class. */
  readonly remoteCode: string;
  constructor(callee: string, remoteCode: string, message: string) {
    super(message);
    this.callee = callee;
    this.remoteCode = remoteCode;
  }
}

/** The answer to a call came and cannot be read: no JSON, or not the envelope of an answer. */
export class UnreadableReplyError extends SvcCommError {
  readonly code = 'SVC_COMM_UNREADABLE_REPLY';
  readonly service: string;
  readonly method: string;
  readonly callId: string;
  constructor({ service, method, callId }: CallData, options?: ErrorOptions) {
    super(`the answer of "${service}" to "${method}" cannot be read: ${reasonOf(options?.cause)}`, options);
    this.service = service;
    this.method = method;
    this.callId = callId;
  }
}

interface CallData {
  readonly service: string;
  readonly method: string;
  readonly callId: string;
}

// ------------------------------------------------------------------------------------------------------------- tasks

export interface ArgumentProblem {
  readonly argument: string;
  readonly kind: 'missing' | 'invalid' | 'unknown';
  readonly expected: string;
  /** The value, cut to 80 characters; undefined when it is missing. */
  readonly got?: string | undefined;
}

/** Arguments of a task are missing or wrong. Nothing was submitted. */
export class InvalidTaskArgumentsError extends SvcCommError {
  readonly code = 'SVC_COMM_INVALID_TASK_ARGUMENTS';
  readonly taskName: string;
  readonly problems: readonly ArgumentProblem[];
  constructor(taskName: string, problems: readonly ArgumentProblem[]) {
    const lines = problems.map((p) => `${p.argument}: expected ${p.expected}, got ${p.got ?? 'nothing'}`);
    super(`arguments of task "${taskName}" are wrong: ${lines.join('; ')}`);
    this.taskName = taskName;
    this.problems = problems;
  }
}

/** No task of this name is registered in this process. */
export class UnknownTaskError extends SvcCommError {
  readonly code = 'SVC_COMM_UNKNOWN_TASK';
  readonly taskName: string;
  constructor(taskName: string) {
    super(
      `no task "${taskName}" is registered: add it with taskRegistry.add(), in a file that the setting tasks names`,
    );
    this.taskName = taskName;
  }
}

/** Two tasks have one name. */
export class DuplicateTaskError extends SvcCommError {
  readonly code = 'SVC_COMM_DUPLICATE_TASK';
  readonly taskName: string;
  constructor(taskName: string) {
    super(`two tasks are named "${taskName}": rename one`);
    this.taskName = taskName;
  }
}

/** No file matched the `tasks` setting, or none of those found defines a task. */
export class NoTasksError extends SvcCommError {
  readonly code = 'SVC_COMM_NO_TASKS';
  readonly lookedIn: readonly string[];
  constructor(lookedIn: readonly string[], why: string) {
    super(`${why}; looked in ${lookedIn.join(', ')}`);
    this.lookedIn = lookedIn;
  }
}

/** As many runs of the task are under way as may be, and it is defined to refuse more. Nothing was submitted. */
export class OverMaxConcurrencyError extends SvcCommError {
  readonly code = 'SVC_COMM_OVER_MAX_CONCURRENCY';
  readonly taskName: string;
  readonly maxConcurrency: number;
  constructor(taskName: string, maxConcurrency: number) {
    super(
      `Over Max Concurrency ${maxConcurrency}: so many runs of task "${taskName}" are under way; start it again later, ` +
        "or define it with onFull: 'queue'",
    );
    this.taskName = taskName;
    this.maxConcurrency = maxConcurrency;
  }
}

/** No task was submitted under this id, or its result has expired. */
export class TaskNotFoundError extends SvcCommError {
  readonly code = 'SVC_COMM_TASK_NOT_FOUND';
  readonly taskId: string;
  constructor(taskId: string) {
    super(`no task has the id ${taskId}: it was never committed, or its resultTtl is over`);
    this.taskId = taskId;
  }
}

/** The id or the idempotency key belongs to a task that was submitted with another name or other arguments. */
export class TaskConflictError extends SvcCommError {
  readonly code = 'SVC_COMM_TASK_CONFLICT';
  readonly taskId: string;
  constructor(taskId: string) {
    super(`this id or idempotency key belongs to task ${taskId}, which was submitted with another name or arguments`);
    this.taskId = taskId;
  }
}

/** The result did not come in the time given. The task goes on; ask again. */
export class TaskWaitTimeoutError extends SvcCommError {
  readonly code = 'SVC_COMM_TASK_WAIT_TIMEOUT';
  readonly taskId: string;
  readonly timeoutMs: number;
  constructor(taskId: string, timeoutMs: number) {
    super(`task ${taskId} did not end within ${timeoutMs} ms; it goes on: ask again, or cancel it`);
    this.taskId = taskId;
    this.timeoutMs = timeoutMs;
  }
}

/** The task's run failed: its handler threw, its process died, or its result could not be kept. */
export class TaskFailedError extends SvcCommError {
  readonly code = 'SVC_COMM_TASK_FAILED';
  readonly taskId: string;
  /** `Error`, `TypeError`, … of what the handler threw. */
  readonly errorName: string;
  /** What it said, without the id before it. */
  readonly reason: string;
  constructor(taskId: string, errorName: string, reason: string) {
    super(`task ${taskId} failed: ${reason}`);
    this.taskId = taskId;
    this.errorName = errorName;
    this.reason = reason;
  }
}

/** The task ran longer than its `timeout`; its processes were ended. */
export class TaskTimeoutError extends SvcCommError {
  readonly code = 'SVC_COMM_TASK_TIMEOUT';
  readonly taskId: string;
  constructor(taskId: string, reason: string) {
    super(`task ${taskId} was ended: ${reason}`);
    this.taskId = taskId;
  }
}

/** The task was cancelled. */
export class TaskRevokedError extends SvcCommError {
  readonly code = 'SVC_COMM_TASK_REVOKED';
  readonly taskId: string;
  constructor(taskId: string) {
    super(`task ${taskId} was cancelled`);
    this.taskId = taskId;
  }
}

/** The workers that ran the task died, as often as it may be handed over. Whether it did its work is unknown. */
export class TaskLostError extends SvcCommError {
  readonly code = 'SVC_COMM_TASK_LOST';
  readonly taskId: string;
  constructor(taskId: string) {
    super(`task ${taskId} is lost: its worker died and it may not be handed over again; start it anew if that is safe`);
    this.taskId = taskId;
  }
}

/** The process that a task runs in could not be started, or could not load the project's task files. */
export class TaskProcessError extends SvcCommError {
  readonly code = 'SVC_COMM_TASK_PROCESS';
  constructor(detail: string, options?: ErrorOptions) {
    super(`the process for a task could not be made ready: ${detail}`, options);
  }
}

// ------------------------------------------------------------------------------------------------------------ processes

export interface DefinitionProblem {
  /** To what is wrong, such as `['meta', 'fields', 0, 'type']`; empty: the whole. */
  readonly path: readonly (string | number)[];
  readonly expected: string;
  readonly got: string;
  /** In the file, from 1 on; undefined for a process that is defined in code. */
  readonly line?: number | undefined;
}

/** A process is not defined as processes are, or names a step that there is none of. It is not in the registry. */
export class ProcessDefinitionError extends SvcCommError {
  readonly code = 'SVC_COMM_PROCESS_DEFINITION';
  readonly processId: string;
  readonly problems: readonly DefinitionProblem[];
  /** undefined: it is defined in code. */
  readonly file: string | undefined;
  constructor(processId: string, problems: readonly DefinitionProblem[], file?: string, options?: ErrorOptions) {
    const lines = problems.map(({ path, expected, got, line }) => {
      const where = file === undefined ? '' : `${file}${line === undefined ? '' : `:${line}`}: `;
      const what = path.length === 0 ? '' : `${pathText(path)}: `;
      return `${where}${what}expected ${expected}, got ${got}`;
    });
    super(`process "${processId}" cannot be:\n  ${lines.join('\n  ')}`, options);
    this.processId = processId;
    this.problems = problems;
    this.file = file;
  }
}

/** What was thrown, in words: an error's text, or its class when it has none; JavaScript may throw anything else too. */
function reasonOf(cause: unknown): string {
  if (types.isNativeError(cause) || cause instanceof Error) return cause.message || cause.name;
  return typeof cause === 'string' ? cause : inspect(cause, { depth: 0, breakLength: Number.POSITIVE_INFINITY });
}

const pathText = (path: readonly (string | number)[]): string =>
  path.map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`)).join('');

/** Two processes have the same id. Rename one, or define it once. */
export class DuplicateProcessError extends SvcCommError {
  readonly code = 'SVC_COMM_DUPLICATE_PROCESS';
  readonly processId: string;
  constructor(processId: string) {
    super(`process "${processId}" is defined already: ids are unique over all files`);
    this.processId = processId;
  }
}

/** No process of this id is registered. */
export class UnknownProcessError extends SvcCommError {
  readonly code = 'SVC_COMM_UNKNOWN_PROCESS';
  readonly processId: string;
  constructor(processId: string, nearest?: string) {
    const hint = nearest === undefined ? '' : `; did you mean "${nearest}"?`;
    super(`there is no process "${String(processId).slice(0, 100)}"${hint}`);
    this.processId = processId;
  }
}

/** What of a request does not let an instance be created. */
export interface InputProblem {
  readonly kind: 'body' | 'field' | 'validation' | 'time';
  /** Of the field, the validation, or the task whose time cannot be told; `body` for the whole. */
  readonly name: string;
  readonly why: string;
}

/** The input of a process is not as its fields and validations want it. No instance was created and nothing ran. */
export class InvalidProcessInputError extends SvcCommError {
  readonly code = 'SVC_COMM_INVALID_PROCESS_INPUT';
  readonly processId: string;
  readonly problems: readonly InputProblem[];
  constructor(processId: string, problems: readonly InputProblem[]) {
    const texts = problems.map(({ kind, name, why }) => `${kind === 'body' ? '' : `${kind} `}${name}: ${why}`);
    super(`process "${processId}" does not take this input: ${texts.join('; ')}`);
    this.processId = processId;
    this.problems = problems;
  }
}

/** The id is that of another instance: of another process, or of another body. Nothing was done. */
export class ProcessConflictError extends SvcCommError {
  readonly code = 'SVC_COMM_PROCESS_CONFLICT';
  readonly instanceId: string;
  constructor(instanceId: string) {
    super(`there is an instance ${instanceId} already, made by another request: choose an id of its own`);
    this.instanceId = instanceId;
  }
}

/** There is no instance of this id, or it was forgotten some time after its end. */
export class InstanceNotFoundError extends SvcCommError {
  readonly code = 'SVC_COMM_INSTANCE_NOT_FOUND';
  readonly instanceId: string;
  constructor(instanceId: string) {
    super(`there is no process instance ${String(instanceId).slice(0, 100)}`);
    this.instanceId = instanceId;
  }
}

/** An instance had not ended when the time to wait for it was over. It goes on. */
export class InstanceWaitTimeoutError extends SvcCommError {
  readonly code = 'SVC_COMM_INSTANCE_WAIT_TIMEOUT';
  readonly instanceId: string;
  readonly timeoutMs: number;
  constructor(instanceId: string, timeoutMs: number) {
    super(
      `process instance ${instanceId} has not ended within ${timeoutMs} ms; it goes on, and can be asked for later`,
    );
    this.instanceId = instanceId;
    this.timeoutMs = timeoutMs;
  }
}

// --------------------------------------------------------------------------------------------------------- REST client

/** What a failed HTTP request was: never its query, its headers or its body, which may hold secrets. */
export interface RequestLine {
  readonly method: string;
  /** Without query and credentials. */
  readonly url: string;
}

/** The root of all that a request of the REST client can fail with, once it was well-formed. */
export abstract class RestApiError extends SvcCommError {
  readonly method: string;
  readonly url: string;
  /** Status of the answer, where there was one. */
  readonly statusCode: number | undefined;
  // A private field: loggers that write every property of an error do not write the body.
  readonly #responseBody: unknown;
  constructor(request: RequestLine, what: string, options: ErrorOptions & { readonly answer?: Answer } = {}) {
    super(`${request.method} ${request.url} ${what}`, options);
    this.method = request.method;
    this.url = request.url;
    this.statusCode = options.answer?.statusCode;
    this.#responseBody = options.answer?.body;
  }

  /** Body of the answer, parsed when it was JSON. It is in no text and no log line. */
  get responseBody(): unknown {
    return this.#responseBody;
  }
}

/** What came back, for the errors that come from an answer. */
export interface Answer {
  readonly statusCode: number;
  readonly body: unknown;
}

/** No connection, or it broke before the answer was complete. Whether the server did the work is unknown, unless it was refused. */
export class RestApiConnectionError extends RestApiError {
  readonly code = 'SVC_COMM_REST_CONNECTION';
  constructor(request: RequestLine, detail: string, options?: ErrorOptions) {
    super(request, `failed: ${detail}; check that the host runs and that restApi.host is right`, options);
  }
}

/** The whole call (login, attempts, body) was not done in time. Whether the server did the work is unknown. */
export class RestApiTimeoutError extends RestApiError {
  readonly code = 'SVC_COMM_REST_TIMEOUT';
  readonly timeoutMs: number;
  constructor(request: RequestLine, timeoutMs: number, options?: ErrorOptions) {
    super(request, `was not answered within ${timeoutMs} ms; whether it was carried out is unknown`, options);
    this.timeoutMs = timeoutMs;
  }
}

/**
 * The caller's signal aborted, the stream that was to be sent failed, or the client was closed; `cause` is the reason.
 * Whether the server did the work is unknown.
 */
export class RestApiAbortedError extends RestApiError {
  readonly code = 'SVC_COMM_REST_ABORTED';
  constructor(request: RequestLine, options?: ErrorOptions, what = 'was aborted by its caller') {
    super(request, what, options);
  }
}

/** The host failed so often in a row that it is left alone for a while. Nothing was sent. */
export class RestApiCircuitOpenError extends RestApiError {
  readonly code = 'SVC_COMM_REST_CIRCUIT_OPEN';
  readonly origin: string;
  constructor(request: RequestLine, origin: string, openMs: number) {
    super(request, `was not sent: ${origin} failed again and again and is left alone, for ${openMs} ms at a time`);
    this.origin = origin;
  }
}

/** The answer is larger than the limit. The connection was closed; whatever the request changed on the server is changed. */
export class RestApiResponseTooLargeError extends RestApiError {
  readonly code = 'SVC_COMM_REST_RESPONSE_TOO_LARGE';
  readonly limitBytes: number;
  constructor(request: RequestLine, limitBytes: number, options?: ErrorOptions) {
    super(request, `has an answer of more than ${limitBytes} bytes; ask for less, or raise maxResponseBytes`, options);
    this.limitBytes = limitBytes;
  }
}

/** The answer came and cannot be read: rubbish JSON, or a content encoding that was not asked for. */
export class RestApiUnreadableResponseError extends RestApiError {
  readonly code = 'SVC_COMM_REST_UNREADABLE_RESPONSE';
  constructor(request: RequestLine, detail: string, options?: ErrorOptions & { readonly answer?: Answer }) {
    super(request, `has an answer that cannot be read: ${detail}`, options);
  }
}

/** The server answered with a redirect that is not followed: redirects are off, or this one leads where none may lead. */
export class RestApiRedirectError extends RestApiError {
  readonly code = 'SVC_COMM_REST_REDIRECT';
  /** Where it leads, without query and credentials. */
  readonly location: string | undefined;
  constructor(request: RequestLine, statusCode: number, location: string | undefined, why: string) {
    super(
      request,
      `was answered by redirect ${statusCode} to ${location ?? 'nowhere'}, which is not followed: ${why}`,
      {
        answer: { statusCode, body: undefined },
      },
    );
    this.location = location;
  }
}

/** `authUrl` gave no token: the credential was refused, or the answer holds none. The request itself was not sent. */
export class RestApiLoginError extends RestApiError {
  readonly code = 'SVC_COMM_REST_LOGIN';
  constructor(request: RequestLine, statusCode: number, detail: string) {
    super(request, `gave no token: ${detail}; check restApi.authUrl and the credential`, {
      answer: { statusCode, body: undefined },
    });
  }
}

/** The server says that the request is wrong: a status 4xx without a class of its own. Repeating it unchanged fails again. */
export class RestApiClientError extends RestApiError {
  readonly code: string = 'SVC_COMM_REST_CLIENT_ERROR';
  constructor(request: RequestLine, answer: Answer) {
    super(request, `was answered with status ${answer.statusCode}`, { answer });
  }
}

/** Status 400: the server does not understand the request. */
export class RestApiBadRequestError extends RestApiClientError {
  override readonly code = 'SVC_COMM_REST_BAD_REQUEST';
}

/** Status 401, also after a new login when there is an `authUrl`. */
export class RestApiUnauthorizedError extends RestApiClientError {
  override readonly code = 'SVC_COMM_REST_UNAUTHORIZED';
}

/** Status 403: the server knows who asks, and refuses. */
export class RestApiForbiddenError extends RestApiClientError {
  override readonly code = 'SVC_COMM_REST_FORBIDDEN';
}

/** Status 404: there is no such thing there. */
export class RestApiNotFoundError extends RestApiClientError {
  override readonly code = 'SVC_COMM_REST_NOT_FOUND';
}

/** The server failed: a status 5xx without a class of its own, or one that HTTP does not know. */
export class RestApiServerError extends RestApiError {
  readonly code: string = 'SVC_COMM_REST_SERVER_ERROR';
  constructor(request: RequestLine, answer: Answer) {
    super(request, `was answered with status ${answer.statusCode}`, { answer });
  }
}

/** Status 502: a proxy in between got nothing usable from the server. */
export class RestApiBadGatewayError extends RestApiServerError {
  override readonly code = 'SVC_COMM_REST_BAD_GATEWAY';
}

/** Status 504: a proxy in between waited for the server in vain. Whether the server did the work is unknown. */
export class RestApiGatewayTimeoutError extends RestApiServerError {
  override readonly code = 'SVC_COMM_REST_GATEWAY_TIMEOUT';
}

// -------------------------------------------------------------------------------------------------------------- HTTP

/** Nothing can listen there: another process has the port, or the address is none of this machine. */
export class ListenError extends SvcCommError {
  readonly code = 'SVC_COMM_LISTEN';
  /** The settings that name it: `monitor` or `http`. */
  readonly settings: string;
  readonly host: string;
  readonly port: number;
  /** By another process, or another server of this one. */
  readonly isTaken: boolean;
  constructor(settings: string, host: string, port: number, cause: NodeJS.ErrnoException) {
    const isTaken = cause.code === 'EADDRINUSE';
    const why = isTaken ? 'another process has the port, perhaps another command of this project' : cause.message;
    const todo = isTaken
      ? `set ${settings}.port to another, or to 0 for a free one`
      : `set ${settings}.host to a name or address of this machine, and ${settings}.port to a port that its user may have`;
    super(`cannot listen on ${host}, port ${port}: ${why}; ${todo}`, { cause });
    this.settings = settings;
    this.host = host;
    this.port = port;
    this.isTaken = isTaken;
  }
}

/** A server without a token and without an `authenticate` hook was to listen where other machines reach it. */
export class OpenAddressError extends SvcCommError {
  readonly code = 'SVC_COMM_OPEN_ADDRESS';
  readonly address: string;
  constructor(address: string) {
    super(
      `listening on ${address} would let everybody in: set http.token or an authenticate hook, or listen on 127.0.0.1`,
    );
    this.address = address;
  }
}

/** A package that this part of svc-comm needs is not installed; the rest works without it. */
export class MissingPackageError extends SvcCommError {
  readonly code = 'SVC_COMM_MISSING_PACKAGE';
  readonly packages: readonly string[];
  constructor(what: string, packages: readonly string[], options?: ErrorOptions) {
    super(`${what} needs packages that are not installed: npm install ${packages.join(' ')}`, options);
    this.packages = packages;
  }
}
