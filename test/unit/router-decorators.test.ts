import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import pluginByDefault, { svcComm } from '../../src/vitest.ts';

const run = promisify(execFile);
const REPO = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const FIXTURES = join(REPO, 'test/support/decorator-fixtures');
const bin = (name: string) => join(REPO, 'node_modules', name);

/** A project of a user's: its own folder, its own tsconfig.json. */
async function makeProject(isLegacy: boolean): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'svc-comm-decorators-'));
  await cp(FIXTURES, folder, { recursive: true });
  const toRepo = relative(folder, REPO);
  for (const file of ['cases.ts', 'vitest.config.ts']) {
    const text = await readFile(join(folder, file), 'utf8');
    await writeFile(join(folder, file), text.replaceAll('../../..', toRepo));
  }
  await symlink(join(REPO, 'node_modules'), join(folder, 'node_modules'));
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  const compilerOptions = { experimentalDecorators: isLegacy, noEmit: false, outDir: 'dist', rootDir: '/' };
  const tsconfig = { extends: join(REPO, 'tsconfig.json'), compilerOptions, include: ['*.ts'], exclude: ['vitest.*'] };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig));
  return folder;
}

async function answers(folder: string, ...command: readonly string[]): Promise<{ dialect: string; cases: object }> {
  const { stdout } = await run(process.execPath, command, { cwd: folder });
  return JSON.parse(stdout);
}

for (const dialect of ['standard', 'legacy'] as const) {
  describe(`consumers with ${dialect} decorators`, () => {
    let folder: string;
    beforeAll(async () => {
      folder = await makeProject(dialect === 'legacy');
    });
    afterAll(() => rm(folder, { recursive: true, force: true }));
    const expected = async () => ({
      dialect,
      cases: JSON.parse(await readFile(join(FIXTURES, 'expected.json'), 'utf8')),
    });

    test('compile with tsc without a type error and then run as expected', async () => {
      await run(process.execPath, [bin('typescript/bin/tsc'), '-p', folder]);
      const compiled = join(folder, 'dist', folder, 'main.js');
      await writeFile(join(folder, 'dist/package.json'), '{ "type": "module" }');
      expect(await answers(folder, compiled)).toEqual(await expected());
    });

    test('run under tsx as expected, with nothing but the tsconfig.json of the project', async () => {
      expect(await answers(folder, bin('tsx/dist/cli.mjs'), 'main.ts')).toEqual(await expected());
    });

    test('run under vitest as expected, standard ones with the plugin of svc-comm/vitest', async () => {
      const { stdout } = await run(process.execPath, [bin('vitest/vitest.mjs'), 'run', '--reporter=json'], {
        cwd: folder,
        env: { ...process.env, VITEST: undefined, DIALECT: dialect },
      });
      expect(JSON.parse(stdout)).toMatchObject({ success: true, numPassedTests: 1 });
    });
  });
}

test('the plugin of svc-comm/vitest is exported by name, and as the default', () => {
  expect(svcComm).toBe(pluginByDefault);
});

test('with legacy decorators too, types refuse wrong signatures, fields, getters and classes', async () => {
  await run(process.execPath, [bin('typescript/bin/tsc'), '-p', join(REPO, 'test/types/legacy')]);
});
