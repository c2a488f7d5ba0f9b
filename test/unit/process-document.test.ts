import { describe, expect, it } from 'vitest';
import { ProcessDefinitionError } from '../../src/errors.ts';
import { readProcesses } from '../../src/process/document.ts';
import { ProcessRegistry } from '../../src/process/registry.ts';

/** Adds the processes of a file. @returns what is wrong with it, as `line path`, or the ids */
function load(text: string): readonly string[] {
  const registry = new ProcessRegistry();
  try {
    registry.add(...readProcesses(text, 'processes/hello.yml'));
  } catch (error) {
    if (!(error instanceof ProcessDefinitionError)) throw error;
    expect(error.message).toContain('processes/hello.yml:');
    return error.problems.map(({ line, path, expected }) => `${line} ${path.join('.')}: ${expected}`);
  }
  return registry.descriptions.map(({ id }) => id);
}

describe('a file of processes', () => {
  it('holds one, a list, or several documents, in YAML or JSON', () => {
    expect(load('id: a\n')).toEqual(['a']);
    expect(load('- id: a\n- id: b\n')).toEqual(['a', 'b']);
    expect(load('id: a\n---\nid: b\n')).toEqual(['a', 'b']);
    expect(load('{"id": "a", "tasksSync": [["wait", {"args": {"for": "1s"}}]]}')).toEqual(['a']);
    expect(load('# nothing yet\n')).toEqual([]);
  });

  it('that is broken names the line of each problem, and what was expected there', () => {
    const text = `id: hello
meta:
  fields:
    - name: foo
      type: CharFeld
    - { name: 3 }
validations:
  - requiredFields
  - [pattern, [foo, '(a']]
tasksSync:
  - transfrom
tasksAsync:
  - [wait, { args: { for: 1s }, delay: soon }]
`;
    const [type, name] = load(text.slice(0, text.indexOf('validations')));
    expect(type).toMatch(/^5 meta.fields.0.type: one of char, .*/);
    expect(name).toMatch(/^6 meta.fields.1.name: a letter/);
    expect(load(text.replace('CharFeld', 'char').replace('name: 3', 'name: b'))).toEqual([
      expect.stringMatching(/^8 validations.0: requiredFields with names/),
      expect.stringMatching(/^9 validations.1: pattern with a regular expression/),
      expect.stringMatching(/^11 tasksSync.0: the name of a task: did you mean transform\?/),
      expect.stringMatching(/^13 tasksAsync.0.*delay: a duration/),
    ]);
    expect(load('id: a\ntasks_sync:\n  - transfrom\n')).toEqual([expect.stringMatching(/^3 tasksSync.0: the name of/)]);
  });

  it.each([
    ['id: a\nid: b\n', /^2 : YAML/],
    ['id: [a\n', /: YAML/],
    ['id: !!js/function "x"\n', /: YAML/],
    ['id: a\ntasks: []\n', /^2 tasks: one of id/],
    ['hello\n', /^1 : an object/],
  ])('%j is refused', (text, expected) => {
    expect(load(text)[0]).toMatch(expected);
  });

  it('says None of a default as DJProcess does: there is none; in quotes it is a text', () => {
    const field = (rest: string) => `id: a\nmeta: { fields: [{ name: foo, ${rest} }] }\n`;
    const registryOf = (text: string) => {
      const registry = new ProcessRegistry();
      registry.add(...readProcesses(text, 'a.yml'));
      return registry.get('a').fields;
    };
    expect(registryOf(field('default: None, required: True'))).toEqual([
      { name: 'foo', description: '', type: 'char', isRequired: true },
    ]);
    expect(registryOf(field("default: 'None'"))).toMatchObject([{ default: 'None', isRequired: false }]);
  });

  it.each([
    ['meta: { fields: [{ name: n, type: integer, default: abc }] }', 'meta.fields.0.default: a whole number'],
    ['meta: { fields: [{ name: c, type: choice, choices: [a], default: z }] }', 'default: one of the choices'],
    ['tasksAsync: [[wait, { args: { for: 1s }, delay: 99999999999d }]]', 'delay: a duration'],
    ["tasksSync: [[transform, { args: { expression: '(((' } }]]", 'a JSONata expression: '],
    ["tasksSync: [[http.request, { args: { url: 'http://a/', json: { b: ['= (('] } } }]]", 'a JSONata expression: '],
    ["tasksAsync: [[wait, { args: { for: 1s }, at: '= ((' }]]", 'tasksAsync.0.at: a JSONata expression: '],
    ['tasksSync: [[wait, { args: { for: -5s } }]]', 'for: a duration'],
    ['validations: [[range, [a, 10, 1]]]', 'a least and a greatest number'],
  ])('is refused for what could never be: %s', (text, expected) => {
    expect(load(`id: a\n${text}\n`)[0]).toContain(expected);
  });

  it('is not opened by a bomb of aliases', () => {
    const levels = Array.from(
      { length: 12 },
      (_, n) => `a${n}: &a${n} [${Array(10).fill(n === 0 ? 'x' : `*a${n - 1}`)}]`,
    );
    expect(() => readProcesses(`${levels.join('\n')}\nid: a\n`, 'bomb.yml')).toThrow(ProcessDefinitionError);
  });
});
