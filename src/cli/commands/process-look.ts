import { validate as isUuid } from 'uuid';
import { UnknownProcessError } from '../../errors.ts';
import type { ProcessDescription, StepDescription } from '../../process/description.ts';
import type { Processes } from '../../process/processes.ts';
import { nearestName } from '../../util/nearest.ts';
import type { CommandContext } from '../context.ts';
import { columns, printable } from '../printable.ts';
import { describeProcesses, instanceText, withProcesses } from './process-service.ts';

export interface ListOptions {
  readonly limit: number;
}

export async function ls(context: CommandContext, process: string | undefined, { limit }: ListOptions): Promise<0 | 1> {
  if (process === undefined) {
    const processes = await describeProcesses(context);
    const rows = processes.map(({ id, name, description }) => [id, name, description.split('\n', 1)[0] ?? '']);
    const text = rows.length === 0 ? 'no process' : columns([['id', 'name', 'what it does'], ...rows]).join('\n');
    context.print({ processes }, printable(text));
    return 0;
  }
  const work = async (processes: Processes): Promise<0> => {
    const instances = await processes.list({ process, limit });
    const rows = instances.map(({ id, state, createdAt, submitter }) => [
      id,
      state,
      createdAt.toISOString(),
      submitter,
    ]);
    const head = ['id', 'state', 'created', 'by'];
    context.print({ instances }, rows.length === 0 ? 'no instance' : printable(columns([head, ...rows]).join('\n')));
    return 0;
  };
  return withProcesses(context, work, (registry) => registry.get(process));
}

export async function show(context: CommandContext, id: string): Promise<0 | 1> {
  if (isUuid(id)) {
    return withProcesses(context, async (processes) => {
      const { fingerprint: _, isLost: __, ...instance } = await processes.record(id);
      context.print(instance, instanceText(instance));
      return 0;
    });
  }
  const processes = await describeProcesses(context);
  const process = processes.find((one) => one.id === id);
  const ids = processes.map((one) => one.id);
  if (!process) throw new UnknownProcessError(id, nearestName(id, ids));
  context.print(process, processText(process));
  return 0;
}

function processText(process: ProcessDescription): string {
  const { id, name, description, tags, fields, validations, tasksSync, tasksAsync } = process;
  const step = (head: string, { name: called, args, env }: StepDescription, more = ''): readonly string[] => [
    head,
    `${called}${args.length === 0 ? '' : ` ${JSON.stringify(args)}`}${more}`,
    env.length === 0 ? '' : `env ${env.join(', ')}`,
  ];
  const rows = [
    ['process', `${id}, ${name}`, tags.join(', ')],
    ...(description === '' ? [] : [['', description, '']]),
    ...fields.map((field) => {
      const value = field.default === undefined ? '' : `, ${JSON.stringify(field.default)} if left out`;
      const must = field.isRequired ? ', required' : value;
      return ['field', `${field.name} ${field.type}${must}`, field.description];
    }),
    ...validations.map((one) => step('validation', one)),
    ...tasksSync.map((one) => step('sync', one)),
    ...tasksAsync.map((one) => step('async', one, whenText(one.when))),
  ];
  return printable(columns(rows).join('\n'));
}

function whenText(when: ProcessDescription['tasksAsync'][number]['when']): string {
  if (when.kind === 'delay') return `, ${when.ms / 1000} s later`;
  return when.kind === 'at' ? ', at a time of the input' : '';
}
