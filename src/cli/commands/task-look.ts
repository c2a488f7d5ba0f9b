import type { ListedTask, TaskRecord, TaskState } from '../../task/state.ts';
import type { CommandContext } from '../context.ts';
import { columns, printable } from '../printable.ts';
import { withTasks } from './task-service.ts';

export interface ListOptions {
  readonly state?: readonly TaskState[];
  readonly limit: number;
}

export function ls(context: CommandContext, name: string | undefined, { state, limit }: ListOptions): Promise<0 | 1> {
  return withTasks(context, async (tasks) => {
    const found = await tasks.list({
      limit,
      args: context.options.json === true,
      ...(name === undefined ? {} : { name }),
      ...(state === undefined ? {} : { states: state }),
    });
    context.print(
      { tasks: found },
      found.length === 0 ? 'no such task' : columns([HEAD, ...found.map(row)]).join('\n'),
    );
    return 0;
  });
}

export function show(context: CommandContext, id: string): Promise<0 | 1> {
  return withTasks(context, async (tasks) => {
    const record = await tasks.record(id);
    context.print(record, details(record));
    return 0;
  });
}

const HEAD = ['id', 'task', 'state', 'created', 'took', 'attempt', 'progress'];

const row = (record: ListedTask): string[] => [
  record.id,
  record.name,
  record.state,
  record.createdAt.toISOString(),
  tookText(record),
  String(record.attempt),
  record.progress === undefined ? '-' : percent(record.progress),
];

const percent = (fraction: number): string => `${Math.round(fraction * 100)} %`;

function tookText({ startedAt, finishedAt }: Pick<TaskRecord, 'startedAt' | 'finishedAt'>): string {
  if (!startedAt) return '-';
  return `${((Number(finishedAt ?? new Date()) - Number(startedAt)) / 1000).toFixed(1)} s`;
}

function details(record: TaskRecord): string {
  const { id, name, state, isCancelRequested, attempt, progress, note, submitter, args, result, error, log } = record;
  const isAsked = isCancelRequested && state === 'STARTED';
  const lines: (readonly [string, string | undefined])[] = [
    ['task', `${name} ${id}`],
    ['state', isAsked ? `${state}, somebody asked for its end` : state],
    ['attempt', String(attempt)],
    ['submitter', submitter || undefined],
    ['created', record.createdAt.toISOString()],
    ['due', Number(record.dueAt) > Number(record.createdAt) ? record.dueAt.toISOString() : undefined],
    ['started', record.startedAt?.toISOString()],
    ['finished', record.finishedAt && `${record.finishedAt.toISOString()}, after ${tookText(record)}`],
    ['progress', progress === undefined ? undefined : `${percent(progress)} ${note ?? ''}`.trim()],
    ['arguments', JSON.stringify(args)],
    ['result', result === undefined ? undefined : JSON.stringify(result, undefined, 2)],
    ['error', error && `${error.name}: ${error.message}${error.code === undefined ? '' : ` (${error.code})`}`],
    ['output', log === undefined ? undefined : `\n${log.trimEnd()}`],
  ];
  return lines
    .flatMap(([head, text]) => (text === undefined ? [] : [`${head.padEnd(10)} ${printable(text)}`]))
    .join('\n');
}
