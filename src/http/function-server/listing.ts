import type { TaskDefinition } from '../../task/definition.ts';

/** The endpoints beside those of the functions themselves, as `GET /` lists them. */
export const ENDPOINTS = [
  '/function/list/data',
  '/function/list/text',
  '/function/definition/{function_name}',
  '/function/running-count/{function_name}',
  '/task/info/{task_id}',
  '/task/done/{task_id}',
  '/task/result/{task_id}',
  '/task/list/{function_name}',
  '/terminate/function/{function_name}',
  '/terminate/task/{task_id}',
] as const;

/** A function as `/function/definition/{name}` and `/function/list/data` tell it. The timeout is in seconds. */
export const definitionData = (definition: TaskDefinition): object => ({
  function_name: definition.name,
  arg_definitions: definition.args.map(({ name, type, isRequired, description }) => ({
    name,
    type,
    is_required: isRequired,
    description,
  })),
  max_concurrency: definition.maxConcurrency,
  description: definition.description,
  timeout: definition.timeoutMs / 1000,
});

/**
 * `/function/list/text`, to the letter as restful-functions prints it, its spelling of "Requiered" included: scripts
 * read it.
 * @param prefix where the functions are
 */
export const definitionsText = (definitions: readonly TaskDefinition[], prefix: string): string =>
  definitions.map((definition) => definitionText(definition, prefix)).join('');

function definitionText({ name, args, maxConcurrency, description }: TaskDefinition, prefix: string): string {
  const lines = [
    name,
    'URL:',
    `    async api: ${prefix}/${name}`,
    `    block api: ${prefix}/${name}/keep-connection`,
    `Max Concurrency: ${maxConcurrency}`,
    'Description:',
    `        ${description}`,
    args.length === 0 ? 'No Args' : 'Args',
    ...args.flatMap((arg) => [
      `    ${arg.name} ${arg.type} ${arg.isRequired ? 'Requiered' : 'NOT-Required'}`,
      ...(arg.description === '' ? [] : [`    ${arg.description}`]),
    ]),
  ];
  return `${lines.join('\n')}\n\n\n`;
}
