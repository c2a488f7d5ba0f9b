import { describe, expect, it } from 'vitest';
import { evaluate, filled } from '../../src/process/core/expression.ts';
import { frozen } from '../../src/process/run-step.ts';

const request = frozen({ body: { items: [{ name: 'a' }], tags: ['x', 'y'], none: [] }, results: { list: [1] } });

describe('an expression of a request, which is frozen', () => {
  it.each([
    ['body.items[]', [{ name: 'a' }]],
    ['body.items.name[]', ['a']],
    ['body.none[]', []],
    ['results.list[] ~> $reverse()', [1]],
    ['$join(body.tags[], "-")', 'x-y'],
    ['body ~> |items|{"name": "b"}|', { ...request.body, items: [{ name: 'b' }] }],
  ])('%s keeps its lists lists', async (expression, expected) => {
    expect(await evaluate(expression, request)).toEqual(expected);
  });

  it('leaves it as it is to those beside it', async () => {
    const before = JSON.stringify(request);
    const made = await filled({ rows: '= body.items[]', count: '= $count(body.items)' }, request);
    expect(made).toEqual({ rows: [{ name: 'a' }], count: 1 });
    expect(JSON.stringify(request)).toBe(before);
  });
});
