import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import svcComm from './src/vitest.ts';
import { SlowFirst } from './test/support/slow-first.ts';
import { slowness } from './test/support/slowness.ts';

interface Suite {
  readonly include: readonly string[];
  readonly exclude?: readonly string[];
  /** Finds a broker and a database first, and tells the test files by variables. */
  readonly servers?: boolean;
  /** Files at once. Most of a test's time goes by in waiting: for leases, restarts, queues. @default one for each core */
  readonly workers?: number;
}

/** What keeps a test from hanging for ever promises nothing: a busy machine gets more of it. */
const TIMEOUT_MS = 300_000 * Math.min(3, Math.ceil(slowness()));
/** What measures has the machine to itself. */
const ALONE = [
  'test/e2e/{cli-dev,cli-serve,cli-start-up,cost}.test.ts',
  'test/integration/{http-slow-clients,relay-wakeup}.test.ts',
  // Its exchanges have the names of the seeds, which 004-messaging has as well, on the same broker.
  'test/e2e/example-messaging.test.ts',
];
let order = 0;

const suite = (name: string, { include, exclude = [], servers = false, workers = availableParallelism() }: Suite) => ({
  plugins: [svcComm()],
  test: {
    name,
    include: [...include],
    exclude: [...exclude],
    testTimeout: TIMEOUT_MS,
    hookTimeout: TIMEOUT_MS,
    expect: { poll: { timeout: 30_000 } },
    maxWorkers: workers,
    sequence: { groupOrder: order++ },
    ...(servers && { globalSetup: ['test/support/global-setup.ts'] }),
  },
});

export default defineConfig({
  test: {
    sequence: { sequencer: SlowFirst },
    projects: [
      suite('unit', { include: ['test/unit/**/*.test.ts', 'test/wire/**/*.test.ts'] }),
      suite('integration', {
        include: ['test/integration/**/*.test.ts', 'test/conformance/**/*.test.ts'],
        exclude: ALONE,
        servers: true,
        workers: 2 * availableParallelism(),
      }),
      // Of the two around it, what needs no server: for machines where none can be had.
      suite('embedded', {
        include: [
          'test/conformance/**/*.test.ts',
          'test/integration/{task-embedded,testing}.test.ts',
          'test/e2e/{cost,example-rest,package}.test.ts',
        ],
      }),
      suite('e2e', {
        include: ['test/e2e/**/*.test.ts', 'test/seeds/**/*.test.ts'],
        exclude: ALONE,
        servers: true,
        workers: availableParallelism() + 1,
      }),
      suite('alone', { include: ALONE, servers: true, workers: 1 }),
    ],
  },
});
