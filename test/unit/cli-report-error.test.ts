import { describe, expect, it } from 'vitest';
import { errorReport, exitCodeOf } from '../../src/cli/report-error.ts';
import {
  BrokerAccessRefusedError,
  DuplicateConsumerError,
  ModuleLoadError,
  NoConsumersError,
  SettingsError,
  UnregisteredConsumerError,
  UsageError,
} from '../../src/errors.ts';

const problem = { setting: 'prefetch', expected: 'a whole number ≥ 1', got: '0', from: 'svc-comm.config.ts' };
const forPeople = { command: 'runconsumer', isJson: false, withStack: false };

describe('an error on the command line', () => {
  it('is one block without a stack', () => {
    expect(errorReport(new SettingsError([problem]), forPeople)).toBe(
      'svc-comm runconsumer: settings are wrong:\n' +
        '  prefetch: expected a whole number ≥ 1, got 0 (from svc-comm.config.ts)\n' +
        '  SVC_COMM_SETTINGS, see docs/errors.md\n',
    );
  });

  it("sends nobody to our page for another's code", () => {
    const error = Object.assign(new Error('permission denied for table effect'), { code: '42501' });
    expect(errorReport(error, forPeople)).toBe('svc-comm runconsumer: permission denied for table effect\n  42501\n');
  });

  it('has its stack and that of its cause at debug level', () => {
    const error = new ModuleLoadError('a.ts', { cause: new Error('no such thing') });
    const report = errorReport(error, { ...forPeople, withStack: true });
    expect(report).toMatch(
      /ModuleLoadError: a\.ts could not be loaded[\s\S]+ at [\s\S]+caused by Error: no such thing/,
    );
  });

  it('is an object with code, message and its own fields as JSON', () => {
    const report = errorReport(new SettingsError([problem]), { ...forPeople, isJson: true });
    expect(JSON.parse(report)).toEqual({
      error: { code: 'SVC_COMM_SETTINGS', message: expect.stringContaining('prefetch'), problems: [problem] },
    });
    expect(JSON.parse(errorReport(new RangeError('far'), { ...forPeople, isJson: true }))).toEqual({
      error: { code: 'RangeError', message: 'far' },
    });
    expect(JSON.parse(errorReport('text', { ...forPeople, isJson: true }))).toMatchObject({
      error: { message: 'text' },
    });
  });

  it('is told although JSON cannot carry its own fields', () => {
    const error = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET', bytes: 10n });
    const report = errorReport(Object.assign(error, { request: error }), { ...forPeople, isJson: true });
    expect(JSON.parse(report)).toEqual({ error: { code: 'ECONNRESET', message: 'socket hang up' } });
  });

  it('does not steer the terminal by what another service says', () => {
    expect(errorReport(new Error('a\u202ekcots\u2069'), forPeople)).toBe(
      'svc-comm runconsumer: a\\u202ekcots\\u2069\n',
    );
    expect(errorReport(new Error('no \u001b[2Jstock'), forPeople)).toBe('svc-comm runconsumer: no \\x1b[2Jstock\n');
  });

  it('shows no password', () => {
    const error = new Error('connect amqp://u:c4n4ry@host failed');
    for (const isJson of [true, false]) {
      expect(errorReport(error, { ...forPeople, isJson, withStack: true })).not.toContain('c4n4ry');
    }
  });

  it('ends with 2 for wrong usage and settings, with 1 for what failed', () => {
    const duplicate = new DuplicateConsumerError('exchange "a"', 'x', 'y');
    const wrong = [
      new UsageError('no'),
      new SettingsError([problem]),
      new NoConsumersError(['src'], 'none'),
      new UnregisteredConsumerError(['A']),
      duplicate,
      new ModuleLoadError('a.ts', { cause: duplicate }),
    ];
    const failed = [
      new Error('x'),
      new BrokerAccessRefusedError('amqp://host', 'no'),
      new ModuleLoadError('a.ts', { cause: new SyntaxError('x') }),
    ];
    expect(wrong.map(exitCodeOf)).toEqual(wrong.map(() => 2));
    expect(failed.map(exitCodeOf)).toEqual(failed.map(() => 1));
  });
});
