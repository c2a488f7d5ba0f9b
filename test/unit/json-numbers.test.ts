import { expect, it } from 'vitest';
import { jsonNumbers } from '../../src/util/json-numbers.ts';

const members = (text: string) => [...jsonNumbers(text)].map(({ name, text: number }) => [name, number]);

it('finds the numbers of a text as they are written, those of the outermost object with their names', () => {
  const text = '{"id": 1, "a\\"b\\u0063" :-2.50E+3,"c":"4","d":[5,{"id":6}],"e":{"id":7}, "8":9}';
  expect(() => JSON.parse(text)).not.toThrow();
  expect(members(text)).toEqual([
    ['id', '1'],
    ['a"bc', '-2.50E+3'],
    [undefined, '5'],
    [undefined, '6'],
    [undefined, '7'],
    ['8', '9'],
  ]);
});

it('gives no names to the numbers of a list, or to one that stands alone', () => {
  expect(members('["id",1,{"id":2},[3]]')).toEqual([
    [undefined, '1'],
    [undefined, '2'],
    [undefined, '3'],
  ]);
  expect(members(' 12 ')).toEqual([[undefined, '12']]);
  expect(members('"1"')).toEqual([]);
});
