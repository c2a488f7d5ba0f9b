import { expect, it } from 'vitest';
import { plainText } from '../../src/rest-api/query.ts';
import { BaseUrl } from '../../src/rest-api/target.ts';
import { task } from '../../src/task/definition.ts';
import { newTask } from '../../src/task/new-task.ts';
import { encodeJson } from '../../src/wire/json.ts';

const { definition } = task({ name: 'idle' }, () => undefined);
const submit = (idempotencyKey: unknown) =>
  newTask(definition, {}, { idempotencyKey: idempotencyKey as string }, { id: crypto.randomUUID(), queue: 'q' });

it.each([
  ['an error in a payload', () => encodeJson({ x: new Error('x') }), 'an Error would be written as {}'],
  ['bytes in a payload', () => encodeJson({ x: new ArrayBuffer(1) }), 'an ArrayBuffer would be written as {}'],
  ['a map in a payload', () => encodeJson({ x: new Map() }), 'a Map would be written as {}'],
  ['an object in a query', () => plainText({}, 'params.x'), 'a list of them, got object'],
  ['no path', () => new BaseUrl('http://a', 'host').resolve(undefined as never), ', got undefined'],
  ['a long idempotency key', () => submit('k'.repeat(256)), '1 to 255 characters without NUL, got 256 characters'],
  ['an empty idempotency key', () => submit(''), '1 to 255 characters without NUL, got 0 characters'],
  ['an idempotency key with NUL', () => submit('k\0'), '1 to 255 characters without NUL, got one with NUL'],
  ['an idempotency key that is no text', () => submit(7), '1 to 255 characters without NUL, got number'],
])('%s is refused in a sentence that says what was given', (_what, work, text) => {
  expect(work).toThrow(text);
});
