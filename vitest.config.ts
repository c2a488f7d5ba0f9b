import { defineConfig } from 'vitest/config';

const suite = (name: string, include: string[], extra: object = {}) => ({
  test: { name, include, testTimeout: 20_000, hookTimeout: 60_000, ...extra },
});

export default defineConfig({
  test: {
    projects: [
      suite('unit', ['test/unit/**/*.test.ts', 'test/wire/**/*.test.ts']),
      suite('integration', ['test/integration/**/*.test.ts', 'test/conformance/**/*.test.ts']),
      suite('e2e', ['test/e2e/**/*.test.ts'], { testTimeout: 120_000, hookTimeout: 120_000, fileParallelism: false }),
    ],
  },
});
