import { defineConfig } from 'vitest/config';
import svcComm from './src/vitest.ts';

interface Suite {
  readonly include: readonly string[];
  /** Finds a broker and a database first, and tells the test files by variables. */
  readonly servers?: boolean;
  readonly timeoutMs?: number;
  /** Files one at a time: for those that measure, or fill the machine with processes. */
  readonly serial?: boolean;
}

const suite = (name: string, { include, servers = false, timeoutMs = 20_000, serial = false }: Suite) => ({
  plugins: [svcComm()],
  test: {
    name,
    include: [...include],
    testTimeout: timeoutMs,
    hookTimeout: Math.max(timeoutMs, 60_000),
    fileParallelism: !serial,
    ...(servers && { globalSetup: ['test/support/global-setup.ts'] }),
  },
});

export default defineConfig({
  test: {
    projects: [
      suite('unit', { include: ['test/unit/**/*.test.ts', 'test/wire/**/*.test.ts'] }),
      suite('integration', {
        include: ['test/integration/**/*.test.ts', 'test/conformance/**/*.test.ts'],
        servers: true,
      }),
      // Of the two around it, what needs no server: for machines where none can be had.
      suite('embedded', {
        include: [
          'test/conformance/**/*.test.ts',
          'test/integration/{task-embedded,testing}.test.ts',
          'test/e2e/{example-rest,package}.test.ts',
        ],
        timeoutMs: 120_000,
      }),
      suite('e2e', {
        include: ['test/e2e/**/*.test.ts', 'test/seeds/**/*.test.ts'],
        servers: true,
        timeoutMs: 120_000,
        serial: true,
      }),
    ],
  },
});
