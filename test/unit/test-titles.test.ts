import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Behaviours } from '../../src/documentation/behaviours.ts';
import { testTitles } from '../../src/documentation/test-titles.ts';

const read = (source: string) => testTitles(source).map(({ groups, title }) => [...groups, title].join(' > '));

describe('the titles of a test file', () => {
  test('are those of it and test, in their describes', () => {
    const source = `
      import { describe, it, test } from 'vitest';
      describe('addition', () => {
        it('adds', () => {});
        describe("of floats", () => { test(\`adds them too\`, async () => { call('it', "x"); }); });
        it('adds nothing', function () { expect(1).toBe(1); });
      });
      test('alone', () => {});
    `;
    expect(read(source)).toEqual([
      'addition > adds',
      'addition > of floats > adds them too',
      'addition > adds nothing',
      'alone',
    ]);
  });

  test('are not taken from comments, texts, regular expressions and methods of that name', () => {
    const source = `
      // it('in a comment', () => {});
      /* test('in another') { */
      const text = "it('in a text', () => {})" + 'it("x")' + \`it('\${it.name}')\`;
      const pattern = /it\\('in a pattern'[/(]/.test('describe(');
      const ratio = (4 / 2) / it;
      expect(pattern).test('a method'); server.it('another');
      it(\`is the only one\`, () => /[)"']/g);
    `;
    expect(read(source)).toEqual(['is the only one']);
  });

  test('have … for what is computed, and leave out what is not run', () => {
    const source = `
      describe.each([['a', 1], ['(', 2]])('of %s', (name) => {
        it.each\`a | b\`(\`takes $a and \${ { b: '}' }.b }\`, () => {});
        it.each([[1], [2]] as const)('takes %i', () => {});
        it.concurrent.only('it\\'s run', () => {});
        it.skip('not run', () => {});
        it.todo('later');
      });
      describe.skip('not run', () => { it('either', () => {}); });
      it(name, () => {});
      it.skipIf(isWindows)('perhaps', () => {});
    `;
    expect(read(source)).toEqual(['of … > takes … and …', 'of … > takes …', "of … > it's run"]);
  });

  test('are read as the program reads them, and are not left out for what their data say', () => {
    const source = String.raw`
      it('has two\nlines, a \u2026, an \xe9, \u{1F680} and \ud83d\ude80', () => {});
      it.each([{ flag: '.skip' }, { flag: process.env.todo.skip }])('runs $flag', () => {});
      it.each([1]).skip('not run', () => {});
      it('ends in \\', () => {});
    `;
    expect(read(source)).toEqual(['has two lines, a …, an é, 🚀 and 🚀', 'runs …', 'ends in \\']);
    for (const odd of ["it('\\", "it('\\u{ffffff} \\u00', 1)", "it('\\xg')"]) expect(() => read(odd)).not.toThrow();
  });

  test('of what is no program are whatever is found, soon', () => {
    for (const source of [
      '',
      "it('",
      'it(`${',
      '/',
      ')]}',
      "describe('a', (",
      '"'.repeat(1000),
      '(['.repeat(100_000),
    ]) {
      expect(read(source).length).toBeLessThan(2);
    }
  });
});

describe('the behaviours of a task', () => {
  test('are titles in a file of its name, in a describe with its name, and those that begin with it', async () => {
    const root = mkdtempSync(join(tmpdir(), 'svc-comm-titles-'));
    const write = (file: string, source: string) => {
      mkdirSync(join(root, file, '..'), { recursive: true });
      writeFileSync(join(root, file), source);
    };
    write('test/nap.test.ts', "describe('nap', () => { it('sleeps') }); it('wakes up')");
    write(
      'src/all.spec.js',
      "describe('the task nap', () => { describe('when tired', () => { it('sleeps on') }); it('sleeps') })",
    );
    write(
      'test/others.test.ts',
      "it('nap: never snores'); it('snapshot of nap'); describe('snap', () => { it('bites') })",
    );
    write('node_modules/x/nap.test.js', "it('is another package')");
    const behaviours = await Behaviours.find({ root, tests: ['**/*.{test,spec}.{ts,js}'] });
    rmSync(root, { recursive: true });
    expect(behaviours.of('nap')).toEqual(['when tired › sleeps on', 'sleeps', 'wakes up', 'nap: never snores']);
    expect(behaviours.of('none')).toEqual([]);
  });
});
