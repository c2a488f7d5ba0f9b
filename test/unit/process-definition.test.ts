import { readFileSync } from 'node:fs';
import { transformSync } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { DuplicateProcessError, ProcessDefinitionError, UnknownProcessError } from '../../src/errors.ts';
import { StepCatalogue } from '../../src/process/catalogue.ts';
import { defineProcess, Process } from '../../src/process/definition.ts';
import { ProcessRegistry } from '../../src/process/registry.ts';
import { processTask, validation } from '../../src/process/step.ts';

const sayHello = (): string => 'hello';
const sendHelloEmail = processTask(
  { name: 'comms.sendHelloEmail', description: 'Writes to who said hello', env: ['SMTP_URL'], timeout: '1m' },
  ({ body }, _subject: string) => body,
);

const throwing = processTask(
  { name: 'throwing' },
  () => undefined,
  () => {
    throw new TypeError('no such plan');
  },
);

/** A registry with a few steps that can be called by a name. */
function registry(): ProcessRegistry {
  const steps = new StepCatalogue();
  steps.add(
    'validation',
    'requiredFields',
    validation({ description: 'They are given' }, () => true),
  );
  steps.add('task', 'comms.sendHelloEmail', sendHelloEmail);
  return new ProcessRegistry(steps);
}

/** What is wrong with it, as path and text. */
function problemsOf(options: unknown): readonly (readonly [string, string])[] {
  try {
    registry().add(new Process(options));
  } catch (error) {
    if (!(error instanceof ProcessDefinitionError)) throw error;
    return error.problems.map(({ path, expected }) => [path.join('.'), expected]);
  }
  return [];
}

describe('a process', () => {
  it('tells of itself all that documentation needs', () => {
    const processes = registry();
    processes.add(
      defineProcess({
        id: 'hello-world',
        meta: {
          name: 'HelloWorld',
          description: 'Says hello',
          tags: ['demo'],
          fields: [
            { name: 'foo', description: 'Whom', type: 'TYPES.CharField', default: null, required: true },
            { name: 'count', type: 'integer', default: 1 },
            { name: 'size', type: 'choice', choices: ['s', 'm'], required: false },
          ],
        },
        validations: [['validations.required_fields', ['foo', 'bar']]],
        tasksSync: [sayHello],
        tasksAsync: [
          'tasks.comms.send_hello_email',
          [sendHelloEmail, { args: ['hi'], delay: '10m' }],
          [sayHello, { at: () => new Date() }],
        ],
      }),
    );
    expect(processes.descriptions).toEqual([
      {
        id: 'hello-world',
        name: 'HelloWorld',
        description: 'Says hello',
        tags: ['demo'],
        fields: [
          { name: 'foo', description: 'Whom', type: 'char', isRequired: true },
          { name: 'count', description: '', type: 'integer', isRequired: false, default: 1 },
          { name: 'size', description: '', type: 'choice', isRequired: false, choices: ['s', 'm'] },
        ],
        input: {
          type: 'object',
          properties: {
            foo: { type: 'string', description: 'Whom' },
            count: { type: 'integer', default: 1 },
            size: { enum: ['s', 'm'] },
          },
          required: ['foo'],
        },
        validations: [{ name: 'requiredFields', description: 'They are given', args: ['foo', 'bar'], env: [] }],
        tasksSync: [{ name: 'sayHello', description: '', args: [], env: [] }],
        tasksAsync: [
          {
            name: 'comms.sendHelloEmail',
            description: 'Writes to who said hello',
            args: [],
            env: ['SMTP_URL'],
            when: { kind: 'now' },
          },
          {
            name: 'comms.sendHelloEmail',
            description: 'Writes to who said hello',
            args: ['hi'],
            env: ['SMTP_URL'],
            when: { kind: 'delay', ms: 600_000 },
          },
          { name: 'sayHello', description: '', args: [], env: [], when: { kind: 'at' } },
        ],
      },
    ]);
  });

  it('is also what DJProcess has in Python, in its spellings', () => {
    const processes = registry();
    processes.add(
      new Process({ id: 'p', validations: [['validations.required_fields']], tasks_sync: [], tasks_async: null }),
    );
    expect(processes.get('p').description.validations).toEqual([
      { name: 'requiredFields', description: 'They are given', args: [], env: [] },
    ]);
  });

  it('may have a Standard Schema for its input, which says its JSON Schema where its library can', () => {
    const processes = registry();
    processes.add(defineProcess({ id: 'p', input: z.object({ age: z.number() }) }));
    expect(processes.get('p').description.input).toMatchObject({ type: 'object', required: ['age'] });
  });

  it('is what docs/processes.md shows, pasted as it stands', () => {
    const page = readFileSync(new URL('../../docs/processes.md', import.meta.url), 'utf8');
    const [, snippet = ''] = /```ts\n([\s\S]*?)```/.exec(page) ?? [];
    const { code } = transformSync(snippet, { loader: 'ts', format: 'cjs' });
    const module = { exports: {} };
    // What the page leaves to the reader.
    const theirs = { mail: () => 'sent', recordHit: function recordHit() {}, report: function report() {} };
    const scope = { module, require: () => ({ defineProcess, processTask, validation }), ...theirs };
    new Function(...Object.keys(scope), code)(...Object.values(scope));
    const processes = new ProcessRegistry();
    processes.addExports(module.exports);
    expect(processes.get('hello-world').tasksAsync.map(({ name }) => name)).toEqual([
      'sendHelloEmail',
      'recordHit',
      'report',
    ]);
  });

  it('makes each asynchronous step a task of its own name, the same step only once', () => {
    const processes = registry();
    processes.add(defineProcess({ id: 'p', tasksAsync: [sendHelloEmail, [sendHelloEmail, ['again']], sayHello] }));
    expect(processes.tasks.map(({ name }) => name)).toEqual(['p.comms.sendHelloEmail', 'p.sayHello']);
    expect(processes.tasks[0]?.definition).toMatchObject({ env: ['SMTP_URL'], timeoutMs: 60_000 });
  });

  it('is refused with everything that is wrong with it, and where', () => {
    expect(
      problemsOf({
        id: 'no spaces',
        meta: { fields: [{ name: '__proto__' }, { name: 'a', type: 'CharFeld' }, { name: 'b', type: 'choice' }] },
        tasks: [],
      }).map(([path]) => path),
    ).toEqual(['tasks', 'id', 'meta.fields.0.name', 'meta.fields.1.type', 'meta.fields.2.choices']);
  });

  const itself: unknown[] = [];
  itself.push(itself);

  it.each([
    ['a task', { tasksSync: [[sayHello, [1n]]] }, 'tasksSync.0', /arguments\[0\] .* it is a BigInt/],
    ['a task', { tasksAsync: [[sayHello, [() => 1]]] }, 'tasksAsync.0', /arguments\[0\] .* it is a function/],
    ['a task', { tasksAsync: [[sayHello, [new Map()]]] }, 'tasksAsync.0', /a Map would be written as/],
    ['a validation', { validations: [['requiredFields', [1n]]] }, 'validations.0', /it is a BigInt/],
    ['a validation', { validations: [['requiredFields', [itself]]] }, 'validations.0', /it contains itself/],
  ] as const)('with arguments of %s that cannot be written is refused when it is defined', (_, options, path, why) => {
    expect(problemsOf({ id: 'p', ...options })).toContainEqual([path, expect.stringMatching(why)]);
  });

  it('is refused with a default or choices that cannot be written', () => {
    const fields = [
      { name: 'a', type: 'json', default: 1n },
      { name: 'b', type: 'list', default: itself },
      { name: 'c', type: 'choice', choices: [1n] },
    ];
    expect(problemsOf({ id: 'p', meta: { fields } }).map(([path]) => path)).toEqual([
      'meta.fields.0.default',
      'meta.fields.1.default',
      'meta.fields.2.choices.0',
    ]);
  });

  it('keeps the arguments of its tasks as they were said: JSON, which nobody changes', () => {
    const options = { to: ['a'], since: new Date(0) };
    const processes = registry();
    processes.add(
      defineProcess({ id: 'kept', tasksSync: [[sayHello, [options]]], tasksAsync: [[sayHello, [options]]] }),
    );
    options.to.push('b');
    const { tasksSync, tasksAsync } = processes.get('kept');
    for (const { args } of [...tasksSync, ...tasksAsync]) {
      expect(args).toEqual([{ to: ['a'], since: '1970-01-01T00:00:00.000Z' }]);
      expect(() => ((args[0] as typeof options).to as string[]).push('c')).toThrow(TypeError);
    }
    expect(options.to).toEqual(['a', 'b']);
  });

  it('has no step whose result would be the prototype of all results', () => {
    const step = processTask({ name: '__proto__' }, () => ({ isAdmin: true }));
    for (const list of ['validations', 'tasksSync', 'tasksAsync']) {
      const steps = [list === 'validations' ? validation({ name: '__proto__' }, () => true) : step];
      expect(problemsOf({ id: 'a', [list]: steps })).toEqual([[`${list}.0`, 'a step of another name']]);
    }
  });

  it('has validations with whatever arguments its code can use', () => {
    expect(problemsOf({ id: 'p', validations: [['requiredFields', [/x/, () => true]]] })).toEqual([]);
  });

  it.each([
    [{ id: 'p', validations: ['required_field'] }, 'validations.0', /did you mean requiredFields/],
    [{ id: 'p', tasksSync: ['sayHullo'] }, 'tasksSync.0', /one of comms.sendHelloEmail/],
    [{ id: 'p', tasksSync: ['requiredFields'] }, 'tasksSync.0', /the name of a task/],
    [{ id: 'p', tasksSync: [() => 1] }, 'tasksSync.0', /a function with a name, or what processTask\(\{ name \}/],
    [{ id: 'p', validations: [() => true] }, 'validations.0', /a function with a name, or what validation\(\{ name \}/],
    [{ id: 'p', tasksSync: [validation({ name: 'v' }, () => true)] }, 'tasksSync.0', /a task/],
    [{ id: 'p', tasksSync: 'sayHello' }, 'tasksSync', /a list/],
    [{ id: 'p', tasks_sync: [sayHello], tasksSync: [] }, 'tasksSync', /tasksSync or tasks_sync/],
    [{ id: 'p', tasksAsync: [], tasks_async: [sayHello] }, 'tasksAsync', /tasksAsync or tasks_async/],
    [{ id: 'p', tasksSync: [[sayHello, [], 3]] }, 'tasksSync.0', /a task and its arguments/],
    [{ id: 'p', tasksSync: [[sayHello, { delay: '1s' }]] }, 'tasksSync.0.delay', /one of args/],
    [{ id: 'p', tasksAsync: [[sayHello, { delay: 'soon' }]] }, 'tasksAsync.0.delay', /a duration/],
    [{ id: 'p', tasksAsync: [[sayHello, { delay: 1, at: () => 1 }]] }, 'tasksAsync.0', /delay or at/],
    [{ id: 'p', meta: { name: 3 } }, 'meta.name', /a text/],
    [{ id: 'p', input: z.string(), meta: { fields: [{ name: 'a' }] } }, 'input', /input or meta.fields/],
    [{ id: 'p', input: {} }, 'input', /Standard Schema/],
    [{ id: 'p', input: { '~standard': 1 } }, 'input', /Standard Schema/],
    [{ id: 'p', input: { '~standard': { version: 1 } } }, 'input', /Standard Schema/],
    [{ id: 'p', tasksSync: [[throwing, ['a']]] }, 'tasksSync.0', /its check does not throw at: no such plan/],
    ['hello', '', /an object with id/],
  ] as const)('%j is refused', (options, path, expected) => {
    expect(problemsOf(options)).toContainEqual([path, expect.stringMatching(expected)]);
  });
});

describe('a step', () => {
  const untyped = processTask as (...given: readonly unknown[]) => unknown;

  it.each([
    ['the options of a task: expected an object, got undefined', undefined],
    ['the options of a task: expected an object, got function', sayHello],
    ['name, description, env, timeout and retry, got the unknown name "timout"', { timout: '1m' }],
    ['the unknown name "evn"', { evn: ['SMTP_URL'] }],
    ['env of sayHello: expected a list of names of environment variables, got string', { env: 'SMTP_URL' }],
    ['env of sayHello: expected a list of names of environment variables, got number', { env: 5 }],
    ['env of sayHello: expected names of environment variables, got 5', { env: [5n] }],
    ['description of sayHello: expected a text, got number', { description: 5 }],
    ['name: expected a letter, then up to 79 letters, digits, _, - and ., got ["sayHello"]', { name: ['sayHello'] }],
  ])('is refused where it is made: %s', (message, options) => {
    expect(() => untyped(options, sayHello)).toThrow(
      expect.objectContaining({ code: 'SVC_COMM_INVALID_ARGUMENT', message: expect.stringContaining(message) }),
    );
  });
});

describe('a registry of processes', () => {
  it('takes the same process twice and another of its id never', () => {
    const processes = registry();
    const first = defineProcess({ id: 'p' });
    processes.add(first, first);
    expect(() => processes.add(defineProcess({ id: 'p' }))).toThrow(DuplicateProcessError);
  });

  it('takes what a module exports, and names the nearest for an id that it does not know', () => {
    const processes = registry();
    processes.addExports({ one: defineProcess({ id: 'hello-world' }), other: 3 });
    expect([processes.has('hello-world'), processes.has('hello')]).toEqual([true, false]);
    expect(() => processes.get('hello-word')).toThrow(UnknownProcessError);
    expect(() => processes.get('hello-word')).toThrow(/did you mean "hello-world"/);
  });
});

describe('the timeout of a step', () => {
  it.each(['25d', 0, 1e15, Number.NaN] as const)('is refused when no timer can wait for %s', (timeout) => {
    const refusal = /timeout of slow: expected a duration from 1 ms to 24 days, got /;
    for (const make of [processTask, validation])
      expect(() => make({ name: 'slow', timeout }, () => true)).toThrow(refusal);
  });
});

it('no id is the id of no process', () => {
  for (const id of [undefined, null, 7] as unknown as readonly string[]) {
    expect(() => registry().get(id)).toThrow(UnknownProcessError);
  }
});
