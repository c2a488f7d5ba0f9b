import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files that take longest, the longest first: begun last, one of them would be waited for alone. `npm test` ends with the
 * slowest ten.
 */
const SLOWEST: readonly string[] = [
  'e2e/kill/retry-queue.test.ts',
  'e2e/kill/servers.test.ts',
  'e2e/crashing-message.test.ts',
  'e2e/kill/relay.test.ts',
  'e2e/call-memory.test.ts',
  'e2e/kill/calls.test.ts',
  'e2e/kill/single-active.test.ts',
  'e2e/kill/task-kill.test.ts',
  'e2e/workflow-kill.test.ts',
  'e2e/kill/consumer.test.ts',
  'e2e/package.test.ts',
  'integration/relay-lease.test.ts',
  'integration/calls.test.ts',
  'conformance/broker-behaviours.test.ts',
  'integration/http-async-resource.test.ts',
  'integration/embedded.test.ts',
  'integration/testing.test.ts',
  'conformance/database-behaviours.test.ts',
  'integration/own-servers.test.ts',
  'integration/http-functions.test.ts',
  'unit/embedded-database.test.ts',
];

export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const place = SLOWEST.findIndex((file) => moduleId.endsWith(`/test/${file}`));
      return place === -1 ? SLOWEST.length : place;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
