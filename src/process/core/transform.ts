import type { ProcessRequest } from '../request.ts';
import { ProcessStep } from '../step.ts';
import { inputOf, membersProblem } from './core-task.ts';
import { evaluate } from './expression.ts';

/** `[transform, { args: { expression: "{ 'total': $sum(body.items.price) }" } }]` */
export const transform = new ProcessStep(
  'task',
  { description: 'Makes something else of the request and of earlier results, by a JSONata expression.' },
  (async (request: ProcessRequest<unknown>, { expression }: { readonly expression: string }) =>
    evaluate(expression, inputOf(request))) as never,
  ([options]) =>
    membersProblem(options, ['expression']) ??
    (typeof (options as { expression: unknown }).expression === 'string' ? undefined : 'expression: a text in JSONata'),
);
