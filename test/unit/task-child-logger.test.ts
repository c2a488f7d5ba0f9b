import { afterEach, expect, it, vi } from 'vitest';
import { childLogger } from '../../src/task/child-logger.ts';

afterEach(() => vi.restoreAllMocks());

it('a task’s log keeps an error given instead of fields, and what contains itself does not fail the task', () => {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const logger = childLogger({ taskId: 't' });
  const circular: Record<string, unknown> = { id: 7 };
  circular.self = circular;
  logger.error(new Error('no route to host'), 'mail was not sent');
  logger.info({ circular }, 'counted');
  const [failed, counted] = write.mock.calls.map(([line]) => JSON.parse(String(line)));
  expect(failed).toMatchObject({ taskId: 't', error: { message: 'no route to host' }, msg: 'mail was not sent' });
  expect(counted).toMatchObject({ taskId: 't', msg: 'counted', fields: expect.stringContaining('id: 7') });
});
