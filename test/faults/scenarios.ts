import type { TierOptions } from './tier.ts';

/** A run of the pr tier's kind, small and aimed at one rule; failpoints; or, for commands and tasks, tests by file and title. */
export type Scenario =
  | { readonly kind: 'failpoints'; readonly names: readonly string[] }
  | { readonly kind: 'test'; readonly project: string; readonly file: string; readonly title: string }
  | ({ readonly kind: 'tier' } & Omit<TierOptions, 'name' | 'seed' | 'say' | 'logFile'>);

const small = {
  kind: 'tier',
  events: 3000,
  faults: 6,
  nodes: 1,
  rate: 250,
  stopsAtFirst: true,
  stuckMs: 15_000,
} as const;
const ordered = ['ordered'] as const;
const test = { kind: 'test', project: 'integration' } as const;

const NEVER = '1000000000';

export const SCENARIOS = {
  'killed at the commit': { kind: 'failpoints', names: ['C3'] },
  'killed after the commit': { kind: 'failpoints', names: ['C4'] },
  'lease held back': { kind: 'failpoints', names: ['R5'] },
  'killed before a dead letter is out': { kind: 'failpoints', names: ['C6 held'] },
  'clocks differ': {
    ...test,
    file: 'integration/commands.test.ts',
    title: 'deadlines go by the database',
  },
  'a task that starts others is cancelled': {
    ...test,
    file: 'integration/task-lease.test.ts',
    title: 'a cancel ends the whole process group of a task',
  },
  'a run ends twice': {
    ...test,
    file: 'integration/task-lease.test.ts',
    title: 'takes no end of an attempt that is over',
  },
  'publishes vanish': { ...small, only: ['publishes vanish'], victims: ['relay'] },
  'bindings come and go': { ...small, consumers: ordered, only: ['binding gone'] },
  // One event in five is returned, and others of its key, mostly of the same transaction, are on their way behind it.
  'one kind is not bound': {
    ...small,
    ...{ events: 1500, faults: 3, rate: 200, consumers: ordered, only: ['binding of one kind gone'] },
    producerEnv: { FAULTS_KEYS: '10', FAULTS_LONG_ONE_IN: NEVER, FAULTS_FAILS_ONE_IN: '5' },
  },
  'commits come late': {
    ...small,
    ...{ events: 2000, faults: 1, only: ['cut from broker'] },
    producerEnv: { FAULTS_KEYS: '10', FAULTS_LONG_ONE_IN: '5', FAULTS_WRITERS: '4' },
  },
  'much poison': {
    ...small,
    producerEnv: { FAULTS_UNKEYED_ONE_IN: '2', FAULTS_POISON_ONE_IN: '10' },
    only: ['publishes vanish'],
    victims: ['consumer'],
  },
  // Messages rest with others of their key behind them, at whoever is active.
  'connections are cut': {
    ...small,
    ...{ faults: 12, consumers: ordered, only: ['cut from broker'], victims: ['consumer'] },
    consumerEnv: { FAULTS_WORK_MS: '10' },
    producerEnv: { FAULTS_FAILS_ONE_IN: '5', FAULTS_KEYS: '20' },
  },
  // A run outlasts the loss of its channel, and ends on the next one.
  'connections are cut under long runs': {
    ...small,
    ...{ events: 1200, faults: 10, rate: 60, consumers: ['pool'], only: ['cut from broker'], victims: ['consumer'] },
    consumerEnv: { FAULTS_WORK_MS: '700' },
    producerEnv: { FAULTS_UNKEYED_ONE_IN: '1', FAULTS_POISON_ONE_IN: NEVER, FAULTS_FAILS_ONE_IN: NEVER },
  },
  // More comes than is handled: when the process stops, newer messages wait in the queue than those it has.
  'consumers roll over': {
    ...small,
    ...{ events: 800, faults: 6, rate: 100, consumers: ordered, only: ['roll over'], victims: ['consumer'] },
    settings: { prefetch: 20 },
    // Beside the broker, its cancel and the close behind it would be a millisecond apart.
    consumerDelayMs: 40,
    consumerEnv: { FAULTS_WORK_MS: '90' },
    producerEnv: { FAULTS_KEYS: '10', FAULTS_UNKEYED_ONE_IN: '1000' },
  },
} as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;
