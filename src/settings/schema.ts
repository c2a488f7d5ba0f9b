import { z } from 'zod';
import type { TransactionsSetting } from '../database/transactions.ts';
import { LOG_LEVELS } from '../lifecycle/logger.ts';
import { DECLARE_MODES } from '../message/topology.ts';
import { DEFAULT_SETTINGS as DEFAULTS } from './defaults.ts';
import { discoverySchema } from './discovery-schema.ts';
import { isTransactions, parseBind, parseBrokerUrls, parseDatabaseUrl, parseExchange, parseHttpUrl } from './forms.ts';
import { group } from './group.ts';
import { described, duration, parsed, wholeNumber } from './leaf.ts';
import { monitorSchema, telemetrySchema } from './observability-schema.ts';
import { choice, count, flag, globs, json, text, time, timeout } from './phrases.ts';
import { NAME, name, queueSchema } from './queue-schema.ts';

/** RabbitMQ refuses a larger `x-message-ttl`. */
const MAX_TTL_MS = 4_294_967_295;
/** Node's timers wrap around above it. */
const MAX_TIMER_MS = 2_147_483_647;

const globList = () => z.array(z.string().min(1));
const timeoutMs = () => duration({ min: 1, max: MAX_TIMER_MS, numberUnit: 's' });

/** A header's name, but not of one that carries credentials. */
const HEADER_NAME = /^(?!(?:proxy-)?authorization$|(?:set-)?cookie2?$|x-api-key$)[\w!#$%&'*+.^`|~-]+$/i;

/**
 * The one description of every setting: what it takes, its default, its meaning. Checks, `docs/settings.md`, the names of
 * environment variables and the nearest known name in errors all come from here.
 */
export const settingsSchema = z.strictObject({
  appId: described(name().optional(), {
    ...text(NAME, "The service's name on every message"),
    defaultText: 'the name in package.json',
  }),
  brokerUrl: described(parsed(parseBrokerUrls).prefault(DEFAULTS.brokerUrl), {
    expected: "an amqp:// or amqps:// URL, or a list of them, or 'embedded:' or 'embedded:memory'",
    meaning: 'The RabbitMQ node, several nodes of a cluster, or the embedded broker',
    textForm: 'text-or-json',
  }),
  databaseUrl: described(parsed(parseDatabaseUrl).optional(), {
    ...text(
      "a postgres:// URL of one host, with %2F for a / in its password, or 'embedded:' or 'embedded:memory'",
      'Outbox, inbox and future events live there',
    ),
    defaultText: 'no database',
  }),
  queue: queueSchema,
  exchanges: described(
    z.array(parsed(parseExchange)).prefault([...DEFAULTS.exchanges]),
    json(
      "a list of exchanges such as ['user', ['audit', 'fanout']]",
      "an exchange name, or [name, 'topic' | 'fanout' | 'direct' | 'headers']",
      'Exchanges to declare besides those of the consumers; topic by default',
    ),
  ),
  binds: described(z.array(parsed(parseBind)).optional(), {
    ...json(
      "a list of bindings such as [['user', 'event.*'], 'audit']",
      'an exchange name, or [exchange, pattern], of at most 255 bytes each',
      "Bindings of the queue; '#' by default",
    ),
    defaultText: 'derived from the registered consumers',
  }),
  declare: described(
    z.enum(DECLARE_MODES).prefault(DEFAULTS.declare),
    choice(DECLARE_MODES, 'Create what is missing on the broker, verify that all is there, or touch nothing'),
  ),
  consumers: described(
    globList().optional(),
    globs(
      'Files that register consumers',
      "['dist/**/consumers.js'] when dist exists and it is not run through tsx, else ['src/**/consumers.{ts,js}']",
    ),
  ),
  tasks: described(
    globList().optional(),
    globs(
      'Files that define tasks',
      "['dist/**/tasks.js'] when dist exists and it is not run through tsx, else ['src/**/tasks.{ts,js}']",
    ),
  ),
  contracts: described(
    globList().optional(),
    globs(
      'Files that define contracts, for the documentation',
      "['dist/**/contracts.js'] when dist exists and it is not run through tsx, else ['src/**/contracts.{ts,js}']",
    ),
  ),
  tests: described(
    globList().prefault([...DEFAULTS.tests]),
    globs('Tests whose titles tell in the documentation what tasks and processes do; they are read, not run'),
  ),
  processes: described(globList().prefault([...DEFAULTS.processes]), globs('Files that define processes')),
  prefetch: described(
    wholeNumber(1, 65_535).prefault(DEFAULTS.prefetch),
    count(1, 'Messages that the broker hands out ahead; so many are in memory, whatever their size', 65_535),
  ),
  concurrency: described(
    wholeNumber(1).prefault(DEFAULTS.concurrency),
    count(1, 'Handlers that run at once, at most prefetch; always 1 on the embedded database'),
  ),
  retry: group({
    attempts: described(
      wholeNumber(1).prefault(DEFAULTS.retry.attempts),
      count(1, 'Handler runs in all before a message goes to the dead letters'),
    ),
    delays: described(z.array(duration({ min: 1, max: MAX_TTL_MS })).optional(), {
      ...json(
        "a list of durations such as ['1s', '5s']",
        "a duration > 0 with its unit, such as '5s', at most '49d'",
        'Waits between the runs; fewer than attempts - 1: the last repeats',
      ),
      defaultText: `${quote(DEFAULTS.retry.delays)}, cut to attempts - 1`,
    }),
    inPlace: described(
      duration({ max: MAX_TIMER_MS }).prefault(DEFAULTS.retry.inPlace),
      time('How long a failing message with a key is retried in place, its key waiting', '10s'),
    ),
    keyed: described(
      z.enum(['park', 'skip']).prefault(DEFAULTS.retry.keyed),
      choice(['park', 'skip'], 'Then: those behind it follow into the dead letters in order, or go on without it'),
    ),
    crashes: described(
      wholeNumber(0)
        .refine((deaths) => deaths !== 1)
        .prefault(DEFAULTS.retry.crashes),
      {
        ...count(0, 'Deaths of the process in its runs that send a message to the dead letters; 0: none does'),
        expected: 'a whole number ≥ 2, or 0',
      },
    ),
  }),
  transactions: described(z.custom<TransactionsSetting>(isTransactions).optional(), {
    expected: 'knexTransactions(), or a function such as (work) => prisma.$transaction((tx) => work(tx))',
    meaning: 'Who opens the transactions of handlers',
    defaultText: '`knexTransactions()`',
    textForm: 'none',
  }),
  unhandled: described(
    z.enum(['ack', 'dead-letter']).prefault(DEFAULTS.unhandled),
    choice(
      ['ack', 'dead-letter'],
      'What becomes of a message that no consumer takes; it is counted either way. One that a handler has had is kept',
    ),
  ),
  handlerTimeout: described(
    timeoutMs().prefault(DEFAULTS.handlerTimeout),
    timeout('A handler that runs longer has failed, its signal aborts', '10m'),
  ),
  gracePeriod: described(
    duration({ max: MAX_TIMER_MS }).prefault(DEFAULTS.gracePeriod),
    time('Time for the drain after SIGTERM', '30s'),
  ),
  schema: described(
    z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_$]*$/)
      .max(63)
      .prefault(DEFAULTS.schema),
    text('a PostgreSQL name: letters, digits, _ and $, at most 63', 'PostgreSQL schema of our tables'),
  ),
  pool: group({
    max: described(wholeNumber(1).optional(), {
      ...count(1, 'Most connections of the pool; relay and LISTEN have their own'),
      defaultText: 'concurrency + 5; always 1 on the embedded database',
    }),
  }),
  relay: group({
    lease: described(duration({ min: 1000, max: MAX_TIMER_MS }).prefault(DEFAULTS.relay.lease), {
      ...time('How long a relay may keep its partitions without renewing: the time of a takeover', '10s'),
      expected: "a duration ≥ 1s with its unit, such as '10s'",
    }),
    batchSize: described(
      wholeNumber(1, 100_000).prefault(DEFAULTS.relay.batchSize),
      count(1, 'Rows in one read', 100_000),
    ),
    poll: described(duration({ min: 1, max: MAX_TIMER_MS }).prefault(DEFAULTS.relay.poll), {
      ...time('How often a relay looks without being notified', '1s'),
      expected: "a duration > 0 with its unit, such as '1s'",
    }),
    listen: described(
      z.boolean().prefault(DEFAULTS.relay.listen),
      flag('Whether a relay is woken by LISTEN; off behind a pooler that cannot'),
    ),
  }),
  outbox: group({
    unroutable: described(
      z.enum(['continue', 'keep']).prefault(DEFAULTS.outbox.unroutable),
      choice(['continue', 'keep'], 'An event that reaches no queue: counted and gone, or kept and tried again'),
    ),
  }),
  inbox: group({
    enabled: described(z.boolean().optional(), {
      ...flag('Whether handlers have an inbox unless they say otherwise'),
      defaultText: 'true when databaseUrl or a function as transactions is set',
    }),
    retention: described(duration({ min: 1 }).prefault(DEFAULTS.inbox.retention), {
      ...time('How long it is remembered that a message was handled', '7d'),
      expected: "a duration > 0 with its unit, such as '7d'",
    }),
    group: described(
      wholeNumber(1, 1000).prefault(DEFAULTS.inbox.group),
      count(1, 'Most messages that share one transaction, for handlers that do not say; at most concurrency', 1000),
    ),
  }),
  publish: group({
    timeout: described(
      timeoutMs().prefault(DEFAULTS.publish.timeout),
      timeout('Until a publish without a confirm is given up as unknown', '30s'),
    ),
    maxInFlight: described(
      wholeNumber(1).prefault(DEFAULTS.publish.maxInFlight),
      count(1, 'Most unconfirmed messages'),
    ),
    maxInFlightBytes: described(
      wholeNumber(1).prefault(DEFAULTS.publish.maxInFlightBytes),
      count(1, 'Most bytes of unconfirmed messages'),
    ),
  }),
  limits: group({
    bodyBytes: described(
      wholeNumber(1).prefault(DEFAULTS.limits.bodyBytes),
      count(1, 'Largest body, sent or received'),
    ),
    depth: described(
      wholeNumber(1).prefault(DEFAULTS.limits.depth),
      count(1, 'Deepest nesting of a body, sent or received'),
    ),
    keys: described(
      wholeNumber(1).prefault(DEFAULTS.limits.keys),
      count(1, 'Most keys of a body in all, sent or received'),
    ),
  }),
  worker: group({
    concurrency: described(wholeNumber(1, 10_000).optional(), {
      ...count(1, 'Tasks that a worker runs at once, each in a process', 10_000),
      defaultText: 'the number of CPUs',
    }),
    spare: described(
      wholeNumber(0, 1000).prefault(DEFAULTS.worker.spare),
      count(0, 'Processes that wait with everything loaded, for each list of variables that tasks declare', 1000),
    ),
    reuse: described(
      wholeNumber(1).prefault(DEFAULTS.worker.reuse),
      count(1, 'Runs of a process before it is replaced; 1: each run has a fresh one'),
    ),
    lease: described(duration({ min: 1000, max: MAX_TIMER_MS }).prefault(DEFAULTS.worker.lease), {
      ...time('How long a task stays with a worker that does not renew: the time of a hand-over', '30s'),
      expected: "a duration ≥ 1s with its unit, such as '30s'",
    }),
    grace: described(
      duration({ max: MAX_TIMER_MS }).prefault(DEFAULTS.worker.grace),
      time("From SIGTERM to SIGKILL, at a task's cancel or timeout", '5s'),
    ),
    memoryBytes: described(
      wholeNumber(16 * 1024 * 1024).prefault(DEFAULTS.worker.memoryBytes),
      count(16 * 1024 * 1024, "Memory of a task's processes together; more ends it"),
    ),
    processes: described(
      wholeNumber(1).prefault(DEFAULTS.worker.processes),
      count(1, 'Processes that a task has at once, with those that it starts; more ends it'),
    ),
    resultBytes: described(
      wholeNumber(1, 16 * 1024 * 1024).prefault(DEFAULTS.worker.resultBytes),
      count(1, 'Longest result of a task, as JSON', 16 * 1024 * 1024),
    ),
    logBytes: described(
      wholeNumber(0, 16 * 1024 * 1024).prefault(DEFAULTS.worker.logBytes),
      count(0, 'The end of what a task prints that is kept with it', 16 * 1024 * 1024),
    ),
    poll: described(duration({ min: 10, max: MAX_TIMER_MS }).prefault(DEFAULTS.worker.poll), {
      ...time('How often a worker looks at the tables without being notified', '1s'),
      expected: "a duration ≥ 10ms with its unit, such as '1s'",
    }),
  }),
  instances: group({
    headers: described(
      z.array(z.string().regex(HEADER_NAME)).prefault([...DEFAULTS.instances.headers]),
      json(
        "a list of names such as ['user-agent'], without those that carry credentials",
        'the name of a header that carries no credential',
        'Headers of a request that the steps of a process see',
      ),
    ),
    lease: described(duration({ min: 1000, max: MAX_TIMER_MS }).prefault(DEFAULTS.instances.lease), {
      ...time('How long an instance that is being created stays with a server that does not renew', '30s'),
      expected: "a duration ≥ 1s with its unit, such as '30s'",
    }),
    retention: described(duration({ min: 1000 }).prefault(DEFAULTS.instances.retention), {
      ...time('How long an instance that has ended can be asked for', '30d'),
      expected: "a duration ≥ 1s with its unit, such as '30d'",
    }),
    folder: described(
      z.string().min(1).prefault(DEFAULTS.instances.folder),
      text('a path', 'Folder that the task csv.write writes in; made when it is needed'),
    ),
  }),
  heartbeat: described(
    duration({ max: 65_535_000 })
      .refine((ms) => ms % 1000 === 0)
      .prefault(DEFAULTS.heartbeat),
    { ...time('AMQP heartbeat; 0 turns it off', '30s'), expected: "a duration of whole seconds, such as '30s', or 0" },
  ),
  discovery: discoverySchema,
  telemetry: telemetrySchema,
  monitor: monitorSchema,
  stall: group({
    every: described(duration({ min: 1, max: MAX_TIMER_MS }).prefault(DEFAULTS.stall.every), {
      ...time('How often a consumer that is brought nothing asks whether messages wait', '5s'),
      expected: "a duration > 0 with its unit, such as '5s'",
    }),
    after: described(
      duration({ max: MAX_TIMER_MS }).prefault(DEFAULTS.stall.after),
      time('How long they may wait, with room for them, before its connection is given up; 0: for ever', '30s'),
    ),
  }),
  connectTimeout: described(
    timeoutMs().prefault(DEFAULTS.connectTimeout),
    timeout('For one attempt to connect, to broker and to database', '10s'),
  ),
  deadline: group({
    skewTolerance: described(duration({ max: MAX_TIMER_MS }).prefault(DEFAULTS.deadline.skewTolerance), {
      ...time('How long past its deadline a command is still executed', '2s'),
      expected: "a duration with its unit, such as '2s', or 0",
    }),
  }),
  logLevel: described(
    z.enum(LOG_LEVELS).prefault(DEFAULTS.logLevel),
    choice(LOG_LEVELS, 'The least level that is logged'),
  ),
  wait: described(z.union([z.boolean(), duration({ min: 1, max: MAX_TIMER_MS })]).prefault(DEFAULTS.wait), {
    expected: "true | false | a duration > 0 with its unit, such as '30s'",
    meaning:
      'Whether a start waits for a broker or a database that is down, and how long, or fails at once (`--no-wait`); commands that end by themselves wait 30 s where nothing is set',
    textForm: 'boolean',
  }),
  restApi: described(
    z
      .strictObject({
        host: described(parsed(parseHttpUrl), text('an http:// or https:// URL', 'Origin and base path of the API')),
        authUrl: described(z.string().min(1).optional(), text('a path', 'Path that gives a bearer token')),
        username: described(z.string().optional(), text('a text', 'Sent to authUrl')),
        password: described(z.string().optional(), { ...text('a text', 'Sent to authUrl'), isSecret: true }),
        credential: described(z.record(z.string(), z.unknown()).optional(), {
          ...json('an object', 'a value', 'Sent to authUrl instead of username and password'),
          isSecret: true,
        }),
      })
      .optional(),
    {
      expected: 'an object with host, authUrl, username and password, or credential',
      meaning: 'The REST API that get, post … talk to',
      defaultText: 'none',
      textForm: 'json',
    },
  ),
  http: group({
    host: described(z.string().min(1).prefault(DEFAULTS.http.host), text('an address', 'Address to listen on')),
    port: described(wholeNumber(0, 65_535).prefault(DEFAULTS.http.port), count(0, 'Port to listen on', 65_535)),
    token: described(z.string().regex(/^\S+$/).optional(), {
      ...text('a text without spaces', 'Bearer token of callers; without one only this machine is served'),
      isSecret: true,
    }),
    allowedHosts: described(
      z.array(z.string().regex(/^(\*|[^\s:/@]+)$/)).prefault([...DEFAULTS.http.allowedHosts]),
      json(
        "a list of names such as ['api.example.com']",
        'a name without scheme and port, or *',
        'Names by which the server is called, besides localhost and its addresses',
      ),
    ),
    rateLimit: described(
      wholeNumber(0).prefault(DEFAULTS.http.rateLimit),
      count(0, 'Requests a second of one address; 0: no limit'),
    ),
  }),
});

function quote(values: readonly string[]): string {
  return `[${values.map((value) => `'${value}'`).join(', ')}]`;
}
