import type { ProcessRequest } from '../request.ts';
import { ProcessStep } from '../step.ts';
import { inputOf, membersProblem } from './core-task.ts';
import { evaluate, expressionProblem } from './expression.ts';

/** `[transform, { args: { expression: "{ 'total': $sum(body.items.price) }" } }]` */
export const transform = new ProcessStep(
  'task',
  { description: 'Makes something else of the request and of earlier results, by a JSONata expression.' },
  (async (request: ProcessRequest<unknown>, { expression }: { readonly expression: string }) =>
    evaluate(expression, inputOf(request))) as never,
  ([options]) => {
    const problem = membersProblem(options, ['expression']);
    if (problem !== undefined) return problem;
    const { expression } = options as { expression: unknown };
    return typeof expression === 'string' ? expressionProblem(expression) : 'expression: a text in JSONata';
  },
);
