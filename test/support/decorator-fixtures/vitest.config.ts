import { defineConfig } from 'vitest/config';
import { svcComm } from '../../../src/vitest.ts';

export default defineConfig({
  plugins: process.env.DIALECT === 'standard' ? [svcComm()] : [],
  test: { include: ['cases.check.ts'] },
});
