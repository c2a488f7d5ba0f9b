/** Processes that tests create instances of; a worker's processes load this file too. */
import { setTimeout as sleep } from 'node:timers/promises';
import { defineProcess, processTask, validation } from '../../../src/process-door.ts';
import { arg, task } from '../../../src/task-door.ts';

interface Hello {
  readonly foo: string;
}

const sayHello = ({ body }: { readonly body: Hello }): object => ({ says: `hello ${body.foo}` });
const notRude = validation({ name: 'notRude' }, ({ body }) => body.foo !== 'rude' || 'rude words are not said here');
const fails = (): never => {
  throw new TypeError('no such thing');
};
const recordHit = processTask({ name: 'analytics.recordHit', env: ['HIT_STORE'] }, (request, weight: number) => ({
  weight,
  foo: request.body.foo,
  heard: request.context.results,
  store: request.context.env.HIT_STORE ?? null,
  secret: process.env.SECRET_OF_THE_SERVER ?? null,
  hasRaw: 'raw' in request,
}));
const nap = processTask({ name: 'nap' }, async ({ context }, ms: number) => {
  await sleep(ms, undefined, { signal: context.signal });
  return 'slept';
});

export const hello = defineProcess({
  id: 'hello',
  meta: {
    name: 'Hello',
    fields: [
      { name: 'foo', required: true },
      { name: 'count', type: 'integer', default: 1 },
    ],
  },
  validations: [['requiredFields', ['foo', 'bar']], notRude],
  tasksSync: [sayHello],
  tasksAsync: [[recordHit, [3]]],
});
export const failing = defineProcess({ id: 'failing', tasksSync: [sayHello, fails, nap], tasksAsync: [recordHit] });
export const plain = defineProcess({ id: 'plain', tasksSync: [sayHello] });
const mail = task({ name: 'mail', args: { instance: arg.string() } }, ({ instance }) => instance);
export const mailing = defineProcess({
  id: 'mailing',
  tasksSync: [
    async function sendMail({ instanceId }: { readonly instanceId: string }) {
      return (await mail.start({ instance: instanceId })).id;
    },
  ],
});
export const later = defineProcess({ id: 'later', tasksAsync: [[nap, { args: [1], delay: '1h' }]] });
export const long = defineProcess({
  id: 'long',
  tasksAsync: [
    [nap, [60_000]],
    [nap, { args: [1], delay: '1h' }],
  ],
});
export const slowStart = defineProcess({ id: 'slow-start', tasksSync: [[nap, [20_000]]], tasksAsync: [nap] });
export const breaks = defineProcess({ id: 'breaks', tasksAsync: [fails, [nap, [10]]] });
export const brief = defineProcess({ id: 'brief', tasksSync: [[nap, [2_500]]] });
export const breaksEarly = defineProcess({ id: 'breaks-early', tasksAsync: [fails, [nap, [60_000]]] });
