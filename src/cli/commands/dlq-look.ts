import type { DeadLetterSummary, ShownDeadLetter } from '../../dead-letters/dead-letters.ts';
import { type BodyFields, bodyFields } from '../body-fields.ts';
import type { CommandContext } from '../context.ts';
import { columns, printable } from '../printable.ts';
import { type FilterOptions, filterOf, withDeadLetters } from './dlq-service.ts';

export function ls(context: CommandContext): Promise<0 | 1> {
  return withDeadLetters(context, async (deadLetters) => {
    const summary = await deadLetters.summary();
    context.print(summary, summaryText(summary));
    return 0;
  });
}

export interface ShowOptions extends FilterOptions {
  readonly limit: number;
  readonly maxBody: number;
}

export function show(context: CommandContext, options: ShowOptions): Promise<0 | 1> {
  return withDeadLetters(context, async (deadLetters) => {
    const letters = await deadLetters.show(filterOf(options), options.limit);
    const shown = letters.map((letter) => ({ ...letter, ...bodyFields(letter.body, options.maxBody) }));
    const text = shown.map(letterText).join('\n\n');
    context.print({ deadLetters: shown }, text === '' ? 'no such dead letter' : text);
    return 0;
  });
}

function summaryText({ queue, waiting, counted, groups }: DeadLetterSummary): string {
  if (groups.length === 0) return `${queue}: no dead letters`;
  const rows = [
    ['count', 'reason', 'handler', 'oldest', 'newest'],
    ...groups.map(({ count, reason, handler, oldest, newest }) => [
      String(count),
      ...[reason, handler, oldest, newest].map((field) => field ?? '-'),
    ]),
  ];
  const rest = waiting > counted ? [`only the oldest ${counted} of ${waiting} were counted`] : [];
  return [`${queue}: ${waiting} dead letters`, ...columns(rows), ...rest].join('\n');
}

function letterText(letter: Omit<ShownDeadLetter, 'body'> & BodyFields): string {
  const { failures, headers, body, bodyKind, bodyBytes, isBodyCut } = letter;
  const note = `${bodyKind === 'base64' ? ', base64' : ''}${isBodyCut ? ', cut: --max-body' : ''}`;
  return [
    `id         ${letter.id ?? '-'}`,
    `reason     ${letter.reason ?? '-'}`,
    `handler    ${letter.handler ?? '-'}`,
    `from       ${letter.exchange ?? '-'}  ${letter.routingKey ?? ''}`,
    ...(letter.key === undefined ? [] : [`key        ${letter.key}`]),
    `runs       ${letter.failedRuns}`,
    ...failures.map(({ time, code, message, host }) => `  ${time}  ${host}  ${code}  ${message}`),
    'headers',
    ...Object.entries(headers)
      .filter(([name]) => name !== 'svc-comm-failures')
      .map(([name, value]) => `  ${name}: ${JSON.stringify(value)}`),
    `body       ${bodyBytes} bytes${note}`,
    typeof body === 'string' ? body : JSON.stringify(body, undefined, 2),
  ]
    .map(printable)
    .join('\n');
}
