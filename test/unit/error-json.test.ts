import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { deserialize, serialize } from 'node:v8';
import axios from 'axios';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { createTerminalLogger } from '../../src/cli/terminal-logger.ts';
import { CallLostError, ContractViolationError, Reject } from '../../src/errors.ts';
import { errorJson } from '../../src/lifecycle/error-json.ts';
import type { Logger } from '../../src/lifecycle/logger.ts';
import { showingErrors } from '../../src/lifecycle/shown-errors.ts';
import { childLogger } from '../../src/task/child-logger.ts';

const CANARY = 'c4n4ry';

let server: Server;
let url: string;

beforeAll(async () => {
  server = createServer((_, response) => response.writeHead(400).end(JSON.stringify({ token: CANARY }))).listen(0);
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/orders`;
});
afterAll(() => server.close());

/** What a project's own HTTP client fails with: it has the request with all that was sent, and what came back. */
const refused = (): Promise<Error> =>
  axios
    .post(url, { card: CANARY }, { auth: { username: 'u', password: CANARY }, headers: { 'x-api-key': CANARY } })
    .then(
      () => new Error('it was taken'),
      (error: Error) => error,
    );

const TOLD = {
  type: 'AxiosError',
  message: 'Request failed with status code 400',
  stack: expect.stringContaining('error-json.test.ts'),
  code: 'ERR_BAD_REQUEST',
};

afterEach(() => vi.restoreAllMocks());

describe('the request and the answer of an HTTP client’s error', () => {
  test('are not in the lines of a pino of the project, nor of what writes JSON', async () => {
    const lines: string[] = [];
    const write = (line: string) => void lines.push(line);
    const plain = (fields: object, msg: string) => write(JSON.stringify({ ...fields, msg }));
    const loggers: Logger[] = [pino({}, { write }), { debug: plain, info: plain, warn: plain, error: plain }];
    const error = await refused();
    for (const logger of loggers) showingErrors(logger).error({ error, failure: error, try: [{ error }] }, 'failed');
    const told = { error: TOLD, failure: TOLD, try: [{ error: TOLD }], msg: 'failed' };
    expect(lines.map((line) => JSON.parse(line))).toMatchObject(loggers.map(() => told));
    expect(lines.join('')).not.toContain(CANARY);
  });

  test('are not in the lines of what shows errors as the console does, as causes and in an AggregateError neither', async () => {
    const lines: string[] = [];
    const write = (fields: object, msg: string) => void lines.push(inspect({ ...fields, msg }, { depth: 20 }));
    const logger = showingErrors({ debug: write, info: write, warn: write, error: write });
    const error = await refused();
    const { response } = error as Error & { readonly response: unknown };
    const all = new AggregateError([error, response], 'all', { cause: new Error('no', { cause: error }) });
    const lost = new CallLostError({ service: 'pricing', method: 'quote', callId: 'c' });
    const others = { all, behind: new Error('behind', { cause: response }), lost: Object.assign(lost, { error }) };
    logger.error({ error, inner: [{ error }], ...others }, 'failed');
    expect(lines.join('')).not.toContain(CANARY);
    expect(lines.join('').match(/AxiosError: Request failed with status code 400\n {4,}at /g)).toHaveLength(4);
    expect(lines.join('')).toMatch(/ service: 'pricing'/);
  });

  test('are not in what is told of one of our errors that has it as a member', async () => {
    const error = await refused();
    const { response } = error as Error & { readonly response: unknown };
    class Declined extends Reject {
      readonly sku = 'A 1';
      readonly amount = 12n;
      readonly response = response;
    }
    const declined = Object.assign(new Declined('declined'), { attempts: [error], error });
    const lines: string[] = [];
    const plain = (fields: object, msg: string) => void lines.push(JSON.stringify({ ...fields, msg }));
    const seen = (fields: object) => void lines.push(inspect(fields, { depth: 20 }));
    for (const write of [plain, seen])
      showingErrors({ debug: write, info: write, warn: write, error: write }).error({ error: declined }, 'declined');
    expect(JSON.parse(lines[0] ?? '').error).toMatchObject({ sku: 'A 1', amount: '12', error: TOLD });
    expect(lines[1]).toContain("sku: 'A 1'");
    expect(lines.join('')).not.toContain(CANARY);
  });

  test('are not in the lines on a terminal', async () => {
    const lines: string[] = [];
    const write = (line: string) => void lines.push(line);
    const logger = createTerminalLogger('info', 'test', { write, hasColours: false });
    const error = await refused();
    const circular: Record<string, unknown> = { error };
    circular.self = circular;
    logger.error({ try: { error }, circular }, 'failed');
    expect(lines.join('')).not.toContain(CANARY);
    expect(lines.join('')).toMatch(/try=.*status code 400.* {2}circular=.*status code 400/);
  });

  test('are not in the lines of a task', async () => {
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const error = await refused();
    const circular: Record<string, unknown> = { error };
    circular.self = circular;
    const logger = childLogger({ taskId: 't' });
    logger.error({ error, inner: { failure: error } }, 'failed');
    logger.error(circular, 'failed again');
    const lines = write.mock.calls.map(([line]) => String(line));
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ taskId: 't', error: TOLD, inner: { failure: TOLD } });
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({ taskId: 't', fields: expect.stringContaining(TOLD.message) });
    expect(lines.join('')).not.toContain(CANARY);
  });

  test('are not in the lines of a service, whichever of its fields has it, while the data of our errors are', async () => {
    const child = fork(new URL('../support/failure-logging-child.ts', import.meta.url), [url, CANARY], {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const lines = (await text(child.stderr as Readable)).trim().split('\n');
    const told = { ...TOLD, stack: expect.any(String) };
    const others = [
      { error: { service: 'pricing', method: 'quote', callId: 'c' }, msg: 'lost' },
      { failure: told, try: { error: told, all: [{ error: told }] } },
      { outcome: { reason: told }, report: { reason: told }, circular: { error: told } },
    ];
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { error: told, msg: 'failed' },
      { err: told, msg: 'failed' },
      { error: told, msg: TOLD.message },
      ...others,
      ...others,
      ...others,
    ]);
    expect(lines.join('')).not.toContain(CANARY);
  });
});

describe('an error in a line of JSON', () => {
  test('has its cause, those of an AggregateError and what is behind them, and each once', () => {
    const inner = Object.assign(new Error('no route to host', { cause: 'a cable' }), {
      code: 'EHOSTUNREACH',
      extra: 1,
    });
    const all = new AggregateError([inner, 'nothing', inner], 'no address');
    const outer = new RangeError('not sent', { cause: all });
    inner.cause = Object.assign(outer, { code: 7 });
    expect(JSON.parse(JSON.stringify(errorJson(outer)))).toEqual({
      type: 'RangeError',
      message: 'not sent',
      stack: outer.stack,
      code: 7,
      cause: {
        type: 'AggregateError',
        message: 'no address',
        stack: all.stack,
        errors: [{ type: 'Error', message: 'no route to host', stack: inner.stack, code: 'EHOSTUNREACH' }, 'nothing'],
      },
    });
  });

  test('has no end of causes, and is soon written', () => {
    const many = Array.from({ length: 1_000 }, (_, n) => new Error(`cause ${n}`));
    for (const [n, error] of many.entries()) Object.assign(error, { cause: many[n + 1], errors: many });
    expect(JSON.stringify(errorJson(many[0] as Error)).match(/"type"/g)).toHaveLength(20);
  });

  test('has the data of one of ours', () => {
    const error = new CallLostError({ service: 'pricing', method: 'quote', callId: 'c' });
    expect(errorJson(error)).toMatchObject({ code: error.code, service: 'pricing', method: 'quote', callId: 'c' });
    const violation = new ContractViolationError('order', ['no id']);
    expect(errorJson(violation)).toMatchObject({ issues: ['no id'] });
  });

  test('is one that can be cloned, and has what its class alone can read', () => {
    const given: { error: Error & { readonly secret: number } }[] = [];
    const note = (fields: object) => void given.push(fields as never);
    const logger = showingErrors({ debug: note, info: note, warn: note, error: note });
    class Sealed extends RangeError {
      readonly #secret = 7;
      get secret(): number {
        return this.#secret;
      }
    }
    const error = new Sealed('sealed', { cause: new Error('behind') });
    (error.cause as Error).cause = error;
    for (const one of [error, AbortSignal.abort().reason]) logger.error({ error: one }, 'failed');
    expect(given[0]?.error).toBeInstanceOf(Sealed);
    expect(given[0]?.error.secret).toBe(7);
    for (const copy of [(value: unknown) => structuredClone(value), (value: unknown) => deserialize(serialize(value))])
      expect(given.map((fields) => copy(fields))).toMatchObject([
        { error: { message: 'sealed', stack: error.stack, cause: { message: 'behind' } } },
        { error: { message: 'This operation was aborted' } },
      ]);
  });

  test('is the error itself to a serialiser of the project, with all that it has, be it frozen or one of the platform', () => {
    const lines: string[] = [];
    const write = (line: string) => void lines.push(line);
    const own = showingErrors(pino({ serializers: { error: (error: Error) => ({ ...error }) } }, { write }));
    const pinos = showingErrors(pino({ serializers: { error: pino.stdSerializers.err } }, { write }));
    const data = { service: 'pricing', method: 'quote', callId: 'c' };
    own.error({ error: new CallLostError(data) }, 'lost');
    for (const error of [Object.freeze(new Error('frozen')), AbortSignal.abort().reason])
      pinos.error({ error }, 'failed');
    const told = [data, { type: 'Error', message: 'frozen' }, { type: 'DOMException' }];
    expect(lines.map((line) => JSON.parse(line).error)).toMatchObject(told);
  });

  test('whose members throw is told of all the same', () => {
    const error = Object.defineProperty(new Error('x'), 'message', {
      get() {
        throw new Error('no');
      },
    });
    expect(errorJson(error)).toEqual({ type: 'Error', message: 'it threw an error that cannot be read' });
  });
});

describe('fields of a line', () => {
  const given: object[] = [];
  const note = (fields: object) => void given.push(fields);
  const shown = showingErrors({ debug: note, info: note, warn: note, error: note });
  const lastOf = (fields: object): unknown => {
    shown.info(fields, 'a line');
    return given.at(-1);
  };

  test('are those that were given when no error is in them, and of what has one in it the rest stays what it is', () => {
    const at = new Date();
    const plain = { n: 1, at, order: { lines: [{ n: 1 }, null], at } };
    expect(lastOf(plain)).toBe(plain);
    const error = new Error('no');
    const mixed = { order: plain.order, inner: { at, list: [1, error] } };
    expect(lastOf(mixed)).toEqual({ order: plain.order, inner: { at, list: [1, expect.any(Error)] } });
    expect((given.at(-1) as typeof mixed).order).toBe(plain.order);
    expect(mixed.inner.list[1]).toBe(error);
  });

  const THROWING = Object.defineProperty({ n: 1 }, 'member', {
    enumerable: true,
    get() {
      throw new Error('no');
    },
  });
  const endless = (): Record<string, unknown>[] => {
    const all: Record<string, unknown>[] = Array.from({ length: 12_000 }, () => ({}));
    for (const [n, one] of all.entries()) Object.assign(one, { next: [all[(n + 1) % all.length], all[n >> 1]] });
    return all;
  };

  test('without an error are those that were given, however many, without an end, or throwing when they are looked at', () => {
    const [first] = endless();
    const rows = Array.from({ length: 12_000 }, (_, n) => ({ n }));
    const deep = rows.reduceRight<object>((next, { n }) => ({ n, next }), {});
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    for (const fields of [{ first }, { rows }, { deep }, { THROWING, n: 1 }, { proxy }, THROWING])
      expect(lastOf(fields) === fields).toBe(true);
  });

  test('with an error have an end, and what is beside it stays, but for what throws', () => {
    const error = new Error('no');
    const [first] = endless();
    Object.assign(first as object, { error });
    const { first: copy } = lastOf({ first }) as { first: { error: unknown } };
    expect(copy === first).toBe(false);
    expect(copy.error === error).toBe(false);
    expect(lastOf({ inner: { error, THROWING } })).toEqual({
      inner: { error: expect.any(Error), THROWING: { n: 1, member: 'a value that cannot be read' } },
    });
    const beside = Object.defineProperty(
      { error },
      'member',
      Object.getOwnPropertyDescriptor(THROWING, 'member') ?? {},
    );
    expect(lastOf(beside)).toEqual({ error: expect.any(Error), member: 'a value that cannot be read' });
  });
});

describe('a logger of the project', () => {
  const none = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

  test.each<[string, (fields: object) => unknown]>([
    ['clones them', structuredClone],
    ['writes them as JSON', (fields) => JSON.parse(JSON.stringify(fields))],
  ])('that %s is given fields that it can take when it throws on those of the line', (_, take) => {
    const taken: unknown[] = [];
    const logger = showingErrors({ ...none, warn: (fields) => void taken.push(take(fields)) });
    const circular: Record<string, unknown> = { error: new RangeError('behind') };
    circular.self = circular;
    logger.warn({ n: 1, big: 12n, work: () => 1, error: new RangeError('no') }, 'failed');
    logger.warn({ circular, work: () => 1, big: 12n }, 'failed');
    expect(taken).toMatchObject([
      { n: 1, big: '12', error: { type: 'RangeError', message: 'no' } },
      { fields: expect.stringContaining('behind') },
    ]);
  });

  test('that throws whatever it is given fails nobody who logs, and is told of once', async () => {
    const warned = once(process, 'warning');
    const warn = vi.spyOn(process, 'emitWarning');
    const logger = showingErrors({
      ...none,
      error: () => {
        throw new Error('no disk');
      },
    });
    for (const _ of [1, 2]) logger.error({ error: new Error('no') }, 'failed');
    expect(warn).toHaveBeenCalledTimes(1);
    expect(String((await warned)[0])).toContain('no disk');
  });

  test('whose level is off is not asked to write, and what would be written is not looked at', () => {
    let looks = 0;
    const watched = Object.defineProperty({}, 'member', { enumerable: true, get: () => (looks += 1) });
    const lines: string[] = [];
    const logger = showingErrors(pino({ level: 'info' }, { write: (line: string) => void lines.push(line) }));
    logger.debug({ watched }, 'off');
    expect(looks).toBe(0);
    logger.info({ n: 1 }, 'on');
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['on']);
  });
});
