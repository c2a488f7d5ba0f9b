import type { Command } from 'commander';
import { describe, expect, it, vi } from 'vitest';
import { HELP } from '../../src/cli/help-text.ts';
import { createProgram, runProgram } from '../../src/cli/program.ts';

interface Run {
  readonly name: string | undefined;
  readonly options: Record<string, unknown>;
}

/** Parses a line and starts nothing. */
async function parse(...args: string[]): Promise<Run> {
  let name: string | undefined;
  const program: Command = createProgram((command) => async () => {
    name = command;
  });
  program.configureOutput({ writeErr: () => undefined, writeOut: () => undefined });
  await program.parseAsync(args, { from: 'user' });
  return { name, options: program.opts() };
}

describe('the command line', () => {
  it('prints as help what the commands say', () => {
    const program = createProgram(() => async () => undefined).configureOutput({ getOutHelpWidth: () => 80 });
    expect(HELP).toBe(program.helpInformation());
  });

  it('takes global options before and after the command', async () => {
    const before = await parse('--json', '--config', 'a.ts', '--no-wait', '--log-level', 'debug', 'migrate');
    const after = await parse('migrate', '--json', '--config', 'a.ts', '--no-wait', '--log-level', 'debug');
    expect(before).toEqual({
      name: 'migrate',
      options: { json: true, config: 'a.ts', wait: false, logLevel: 'debug' },
    });
    expect(after).toEqual(before);
  });

  it('names a command of a group with its group', async () => {
    expect(
      await parse('dlq', 'redrive', '--json', '--since', '2h', '--id', 'a', '--id', 'b', '--rate', '50/s'),
    ).toEqual({
      name: 'dlq redrive',
      options: { json: true, wait: true },
    });
  });

  it.each([
    [['nonsense'], /unknown command 'nonsense'/],
    [['migrate', 'extra'], /too many arguments/],
    [['explain', 'user'], /missing required argument 'key'/],
    [['migrate', '--colour'], /unknown option '--colour'/],
    [['migrate', '--log-level', 'loud'], /one of debug, info, warn, error, silent/],
    [['checkpublisher', '--max-delay', '-1'], /a number ≥ 0/],
    [['checkpublisher', '--max-delay', '1 week'], /a duration such as 5m/],
    [['checkpublisher', '--max-queue-size', 'many'], /a whole number ≥ 0/],
    [['checkpublisher', '--max-queue-size', '1.5'], /a whole number ≥ 0/],
    [['checkpublisher', '--max-queue-size', '1e3'], /a whole number ≥ 0/],
    [['dlq', 'nonsense'], /unknown command 'nonsense'/],
    [['dlq', 'redrive', '--rate', '0/s'], /a number > 0/],
    [['dlq', 'redrive', '--since', 'lately'], /a time such as/],
    // Of these JavaScript's own parser makes times, the first a May of 2001.
    [['dlq', 'drop', '--since', '5'], /a time such as/],
    [['dlq', 'drop', '--since', 'yesterday 3'], /a time such as/],
    [['dlq', 'drop', '--since', '2026-13-01'], /a time such as/],
    [['dlq', 'drop', '--reason', 'failed'], /one of rejected, attempts, malformed, unhandled, parked, crashed/],
    [['dlq', 'drop', '--limit', '0'], /a whole number ≥ 1/],
    [['future', 'ls', '--limit', 'all'], /a whole number, 0 to 10000/],
    [['future', 'cancel', '--tag', '=1'], /must be name=value/],
  ])('refuses %j', async (args, message) => {
    await expect(parse(...args)).rejects.toThrow(message);
  });

  it.each([
    ['userId=1', { userId: 1 }],
    ['userId="1"', { userId: '1' }],
    ['a=b=1', { a: 'b=1' }],
    ['"a=b"=1', { 'a=b': 1 }],
    ['"a=b"="c=d"', { 'a=b': 'c=d' }],
    ['"say \\"=\\""=x', { 'say "="': 'x' }],
    // No name in quotes, but one with quotes.
    ['"a=1', { '"a': 1 }],
    ['a"b"=1', { 'a"b"': 1 }],
  ])('reads a tag %s', async (text, tags) => {
    const program = createProgram(() => async () => undefined);
    await program.parseAsync(['future', 'ls', '--tag', text], { from: 'user' });
    const future = program.commands.find((command) => command.name() === 'future');
    expect(future?.commands.find((command) => command.name() === 'ls')?.opts().tag).toEqual(tags);
  });

  it.each([
    ['2026-01-31', '2026-01-31T00:00:00.000Z'],
    ['2026-01-31T12:30', '2026-01-31T12:30:00.000Z'],
    ['2026-01-31 12:30:15.5', '2026-01-31T12:30:15.500Z'],
    ['2026-01-31T12:30+02:00', '2026-01-31T10:30:00.000Z'],
    ['2026-01-31T12:30:15.123Z', '2026-01-31T12:30:15.123Z'],
  ])('takes --since %s for UTC unless it says otherwise, wherever the machine is', async (text, time) => {
    vi.stubEnv('TZ', 'Asia/Tokyo');
    const program = createProgram(() => async () => undefined);
    await program.parseAsync(['dlq', 'drop', '--since', text], { from: 'user' });
    vi.unstubAllEnvs();
    const drop = program.commands.find((one) => one.name() === 'dlq')?.commands.find((one) => one.name() === 'drop');
    expect(drop?.opts().since).toEqual(new Date(time));
  });

  it.each([
    [['explain', 'user'], "svc-comm explain: missing required argument 'key'\nrun `svc-comm explain --help`"],
    [['dlq', 'ls', 'extra'], 'svc-comm dlq ls: too many arguments'],
    [['dlq', 'nonsense'], "svc-comm dlq: unknown command 'nonsense'\nrun `svc-comm dlq --help`"],
    [['nonsense'], "svc-comm: unknown command 'nonsense'\nrun `svc-comm --help`"],
    [['help', 'nonsense'], "svc-comm: unknown command 'nonsense'\nrun `svc-comm --help`"],
    [['dlq', 'help', 'nonsense'], "svc-comm dlq: unknown command 'nonsense'\nrun `svc-comm dlq --help`"],
    [['dlq'], 'svc-comm dlq: no command given\nrun `svc-comm dlq --help`'],
    [['migrate', '--log-level', 'loud'], "svc-comm: option '--log-level <level>'"],
  ])('names the command that it refuses, and whose help to read: %j', async (args, text) => {
    const said: string[] = [];
    const write = vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => said.push(String(chunk)) > 0);
    const code = await runProgram(args).finally(() => write.mockRestore());
    expect(said.at(-1)).toContain(text);
    expect(code).toBe(2);
  });
});
