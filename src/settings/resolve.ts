import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { type SettingProblem, SettingsError } from '../errors.ts';
import { isEmbeddedUrl } from '../util/embedded-url.ts';
import { crossChecks, defaultDelaysMs, hasDatabase } from './cross-checks.ts';
import type { Settings } from './define.ts';
import type { EnvironmentSettings } from './environment.ts';
import { applyOverrides, type Override, originOf } from './override.ts';
import { settingProblems, wrongSetting } from './problems.ts';
import { packageName, projectRoot } from './project.ts';
import type { ResolvedSettings } from './resolved.ts';
import { settingsSchema } from './schema.ts';

/** Where settings come from besides the object itself. */
export interface SettingsSources {
  /** What errors name for values of the object. @default 'code' */
  readonly from?: string;
  /** The project's folder. @default that of the nearest package.json at or above the working directory */
  readonly root?: string;
  /** What `readEnvironment` found; it wins over the object. @default nothing */
  readonly environment?: EnvironmentSettings;
  /** Command-line options; they win over all. @default none */
  readonly options?: readonly Override[];
}

const resolvedByUs = new WeakSet<object>();

export const isResolvedSettings = (settings: Settings | ResolvedSettings): settings is ResolvedSettings =>
  resolvedByUs.has(settings);

/**
 * Checks settings and completes them with the defaults.
 * @throws SettingsError (SVC_COMM_SETTINGS) with every problem found: setting, expected, got (masked), from where
 */
export function resolveSettings(given: Settings, sources: SettingsSources = {}): ResolvedSettings {
  const { from = 'code', environment = { overrides: [], problems: [] }, options = [] } = sources;
  if (isCopyOfResolved(given)) throw new SettingsError([copyProblem(from)]);
  const root = sources.root ?? projectRoot(process.cwd());
  const overrides = [...environment.overrides, ...options];
  const input = applyOverrides(given, overrides);
  const problemSources = { input, originOf: (path: readonly PropertyKey[]) => originOf(path, overrides, from) };

  const result = settingsSchema.safeParse(input);
  const appId = result.data?.appId ?? (input.appId === undefined ? packageName(root) : undefined);
  const problems: SettingProblem[] = [
    ...environment.problems,
    ...settingProblems(result.error?.issues ?? [], problemSources),
    ...crossChecks(problemSources, appId),
  ];
  if (appId === undefined && input.appId === undefined) {
    problems.push({ ...wrongSetting(['appId'], problemSources), from: `${from}, and no name in ${root}/package.json` });
  }
  if (problems.length > 0 || !result.success || appId === undefined) throw new SettingsError(problems);

  const settings = complete(result.data, appId, root);
  resolvedByUs.add(settings);
  return settings;
}

/** `{ ...(await loadSettings()), prefetch: 10 }`: completed, in other units, under other names. */
const isCopyOfResolved = (given: object): boolean => 'brokerUrls' in given && 'handlerTimeoutMs' in given;

const copyProblem = (from: string): SettingProblem => ({
  setting: 'settings',
  expected:
    'what defineConfig takes, or what loadSettings gave, unchanged; what is to be otherwise goes into loadSettings({ overrides: { … } })',
  got: 'a copy of what loadSettings gave',
  from,
});

type CheckedSettings = ReturnType<typeof settingsSchema.parse>;

/** One backend serves all: handlers one at a time, no second connection that waits for the first, relays that look often. */
const ONE_BACKEND = Object.freeze({ concurrency: 1, poolMax: 1, relayPollMs: 200, relayLeaseMs: 1500 });

function complete(checked: CheckedSettings, appId: string, root: string): ResolvedSettings {
  const { retry, queue, relay, inbox, publish } = checked;
  const { lease, grace, poll, ...worker } = checked.worker;
  const isOneBackend = isEmbeddedUrl(checked.databaseUrl);
  const atMost = (limit: number, value: number): number => (isOneBackend ? Math.min(limit, value) : value);
  const concurrency = atMost(ONE_BACKEND.concurrency, checked.concurrency);
  return Object.freeze({
    root,
    appId,
    brokerUrls: checked.brokerUrl,
    databaseUrl: checked.databaseUrl,
    queue: { ...queue, name: queue.name ?? appId },
    exchanges: checked.exchanges,
    binds: checked.binds,
    declare: checked.declare,
    consumers: checked.consumers,
    tasks: checked.tasks,
    contracts: checked.contracts,
    tests: checked.tests,
    processes: checked.processes,
    prefetch: checked.prefetch,
    concurrency,
    retry: {
      attempts: retry.attempts,
      delaysMs: retry.delays ?? defaultDelaysMs(retry.attempts),
      inPlaceMs: retry.inPlace,
      keyed: retry.keyed,
      crashes: retry.crashes,
    },
    transactions: checked.transactions,
    unhandled: checked.unhandled,
    handlerTimeoutMs: checked.handlerTimeout,
    gracePeriodMs: checked.gracePeriod,
    schema: checked.schema,
    pool: { max: atMost(ONE_BACKEND.poolMax, checked.pool.max ?? concurrency + 5) },
    relay: {
      leaseMs: atMost(ONE_BACKEND.relayLeaseMs, relay.lease),
      batchSize: relay.batchSize,
      pollMs: atMost(ONE_BACKEND.relayPollMs, relay.poll),
      listen: relay.listen,
    },
    outbox: checked.outbox,
    inbox: { enabled: inbox.enabled ?? hasDatabase(checked), retentionMs: inbox.retention, group: inbox.group },
    publish: {
      timeoutMs: publish.timeout,
      maxInFlight: publish.maxInFlight,
      maxInFlightBytes: publish.maxInFlightBytes,
    },
    limits: checked.limits,
    worker: {
      ...worker,
      concurrency: worker.concurrency ?? availableParallelism(),
      leaseMs: lease,
      graceMs: grace,
      pollMs: atMost(ONE_BACKEND.relayPollMs, poll),
    },
    instances: {
      headers: checked.instances.headers.map((name) => name.toLowerCase()),
      leaseMs: checked.instances.lease,
      retentionMs: checked.instances.retention,
      folder: resolve(root, checked.instances.folder),
    },
    heartbeatMs: checked.heartbeat,
    discovery: {
      enabled: checked.discovery.enabled,
      everyMs: checked.discovery.heartbeat,
    },
    telemetry: checked.telemetry,
    monitor: { host: checked.monitor.host, port: checked.monitor.port },
    stall: { everyMs: checked.stall.every, afterMs: checked.stall.after },
    connectTimeoutMs: checked.connectTimeout,
    deadline: { skewToleranceMs: checked.deadline.skewTolerance },
    logLevel: checked.logLevel,
    wait: checked.wait,
    restApi: checked.restApi,
    http: { ...checked.http, token: checked.http.token },
  });
}
