const MIB = 1024 * 1024;

/**
 * What a setting is when it is left out, in the words of a settings file. Settings whose default is taken from others
 * (appId, queue, binds, consumers, tasks, contracts, pool.max, inbox.enabled, worker.concurrency) are completed by `resolveSettings`.
 */
export const DEFAULT_SETTINGS = Object.freeze({
  brokerUrl: 'amqp://guest:guest@localhost:5672',
  queue: Object.freeze({ type: 'quorum', singleActiveConsumer: false, arguments: Object.freeze({}) }),
  exchanges: Object.freeze([]),
  declare: 'create',
  processes: Object.freeze(['processes/**/*.{ts,js,yml,yaml,json}']),
  tests: Object.freeze(['{src,test,tests,tasks,validations,processes}/**/*.{test,spec}.{ts,mts,js,mjs}']),
  prefetch: 100,
  concurrency: 20,
  retry: Object.freeze({
    attempts: 5,
    delays: Object.freeze(['1s', '5s', '30s', '2m']),
    inPlace: '10s',
    keyed: 'park',
    crashes: 3,
  }),
  unhandled: 'ack',
  handlerTimeout: '10m',
  gracePeriod: '30s',
  schema: 'public',
  relay: Object.freeze({ lease: '10s', batchSize: 500, poll: '1s', listen: true }),
  outbox: Object.freeze({ unroutable: 'continue' }),
  inbox: Object.freeze({ retention: '7d', group: 1 }),
  publish: Object.freeze({ timeout: '30s', maxInFlight: 1000, maxInFlightBytes: 16 * MIB }),
  limits: Object.freeze({ bodyBytes: 16 * MIB, depth: 64, keys: 10_000 }),
  worker: Object.freeze({
    spare: 2,
    reuse: 1,
    lease: '30s',
    grace: '5s',
    memoryBytes: 1024 * MIB,
    processes: 256,
    resultBytes: MIB,
    logBytes: 64 * 1024,
    poll: '1s',
  }),
  instances: Object.freeze({
    headers: Object.freeze(['accept-language', 'content-type', 'user-agent', 'x-request-id', 'traceparent']),
    lease: '30s',
    retention: '30d',
    folder: 'data',
  }),
  heartbeat: '30s',
  discovery: Object.freeze({ enabled: true, heartbeat: '10s' }),
  telemetry: Object.freeze({ spans: true }),
  monitor: Object.freeze({ host: '127.0.0.1' }),
  stall: Object.freeze({ every: '5s', after: '30s' }),
  connectTimeout: '10s',
  deadline: Object.freeze({ skewTolerance: 0 }),
  logLevel: 'info',
  wait: true,
  http: Object.freeze({ host: '127.0.0.1', port: 8888, allowedHosts: Object.freeze([]), rateLimit: 1000 }),
} as const);

/** Globs of `consumers` when the setting is left out: the first whose folder exists, sources first when run through tsx. */
export const DEFAULT_CONSUMER_GLOBS = Object.freeze({
  built: Object.freeze(['dist/**/consumers.js']),
  sources: Object.freeze(['src/**/consumers.{ts,js}']),
});

/** The same for `tasks`. */
export const DEFAULT_TASK_GLOBS = Object.freeze({
  built: Object.freeze(['dist/**/tasks.js']),
  sources: Object.freeze(['src/**/tasks.{ts,js}']),
});

/** The same for `contracts`. */
export const DEFAULT_CONTRACT_GLOBS = Object.freeze({
  built: Object.freeze(['dist/**/contracts.js']),
  sources: Object.freeze(['src/**/contracts.{ts,js}']),
});
