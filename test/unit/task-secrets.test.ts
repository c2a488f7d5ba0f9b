import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Logger } from '../../src/lifecycle/logger.ts';
import { childLogger } from '../../src/task/child-logger.ts';
import { failureOf, parseFromProcess } from '../../src/task/process-message.ts';
import { ProcessPool } from '../../src/task/process-pool.ts';

const CANARY = 'c4n4ry';
const URL_WITH_PASSWORD = `https://app:${CANARY}@api/v1`;

afterEach(() => vi.restoreAllMocks());

/** What undici throws, whose text has the whole URL. */
const thrownByRequest = (): unknown => {
  try {
    return new Request(URL_WITH_PASSWORD);
  } catch (error) {
    return error;
  }
};

describe('a password in the URL that a task was given', () => {
  test('is not in its failure, also where the text is cut', () => {
    const failure = failureOf(thrownByRequest());
    expect(failure).toMatchObject({ name: 'TypeError', message: expect.stringContaining('https://app:***@api/v1') });
    expect(JSON.stringify(failureOf(new Error(`${'x'.repeat(4075)} ${URL_WITH_PASSWORD}`)))).not.toContain(CANARY);
    expect(failureOf(`no way to ${URL_WITH_PASSWORD}`).message).not.toContain(CANARY);
    expect(failureOf({ message: '', code: URL_WITH_PASSWORD }).code).not.toContain(CANARY);
  });

  test('is not in what the worker takes from its process', () => {
    const error = { name: 'Error', message: URL_WITH_PASSWORD };
    expect(parseFromProcess({ kind: 'failed', error })).toMatchObject({ error: { message: 'https://app:***@api/v1' } });
    expect(JSON.stringify(parseFromProcess({ kind: 'load-failed', message: URL_WITH_PASSWORD }))).not.toContain(CANARY);
  });

  test('is not in its log', () => {
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const logger = childLogger({ taskId: 't' });
    const circular: Record<string, unknown> = { url: URL_WITH_PASSWORD };
    circular.self = circular;
    logger.error({ error: thrownByRequest(), url: URL_WITH_PASSWORD }, `no way to ${URL_WITH_PASSWORD}`);
    logger.info(circular, 'counted');
    const lines = write.mock.calls.map(([line]) => String(line));
    expect(lines.map((line) => JSON.parse(line).taskId)).toEqual(['t', 't']);
    expect(lines.join('')).not.toContain(CANARY);
  });
});

test('what a process printed that died while it loaded is in the worker’s log, and not in the error, which others read', async () => {
  const logged: object[] = [];
  const log = (fields: object) => void logged.push(fields);
  const logger: Logger = { debug: log, info: log, warn: log, error: log };
  const source = `throw new Error('const client = connect("${URL_WITH_PASSWORD}")')`;
  const pool = new ProcessPool({
    nodeArguments: ['--eval', source],
    load: { root: process.cwd(), files: [] },
    isolation: { level: 'group', command: [] },
    spare: 0,
    reuse: 1,
    memoryBytes: 256 * 1024 * 1024,
    processes: 30,
    logBytes: 64 * 1024,
    onOutput: () => undefined,
    logger,
    environments: [[]],
  });
  onTestFinished(() => pool.stop());
  const failure = await pool.start().catch((error: unknown) => error);
  const message =
    "the process for a task could not be made ready: its process exited with code 1 before it had a result; see the worker's log";
  expect(failure).toMatchObject({ code: 'SVC_COMM_TASK_PROCESS', message });
  expect(logged).toEqual([
    { error: failure, output: expect.stringContaining('const client = connect("https://app:***') },
  ]);
  expect(JSON.stringify(logged)).not.toContain(CANARY);
});
