import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { bin, CliProject, repository } from '../support/cli-project.ts';

const project = new CliProject();
afterAll(() => project.remove());

describe('svc-comm', () => {
  it('says what there is, and its version', async () => {
    const help = await project.cli('--help');
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const command of [
      'runconsumer',
      'devconsumer',
      'runpublisher',
      'devpublisher',
      'checkpublisher',
      'migrate',
      'explain',
    ]) {
      expect(help.stdout).toContain(`  ${command} `);
    }
    const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));
    expect(await project.cli('--version')).toMatchObject({ code: 0, stdout: `${version}\n` });
    expect((await project.cli('checkpublisher', '--help')).stdout).toMatch(
      /--max-queue-size[\s\S]+--max-delay[\s\S]+--json/,
    );
  });

  it('refuses wrong usage with exit code 2, in words and as JSON', async () => {
    const inWords = await project.cli('runconsumr');
    expect(inWords).toMatchObject({ code: 2, stdout: '' });
    expect(inWords.stderr).toMatch(/unknown command 'runconsumr'[\s\S]+Did you mean runconsumer/);
    expect(inWords.stderr).not.toContain(' at ');
    const asJson = await project.cli('explain', 'user', '--json');
    expect(asJson.code).toBe(2);
    expect(JSON.parse(asJson.stdout)).toMatchObject({ error: { code: 'SVC_COMM_USAGE' } });
    expect((await project.cli()).code).toBe(2);
  });

  it('does its work when nobody reads its output to the end, and fails when that cannot be written', () => {
    const shell = (line: string) => spawnSync('bash', ['-o', 'pipefail', '-c', line], { encoding: 'utf8' });
    const node = JSON.stringify(process.execPath);
    const cli = `${node} ${JSON.stringify(bin)}`;
    // Reads nothing, and has gone before anything is written, or goes soon.
    const unread = `${node} -e 'process.stdin.destroy()'`;
    expect(shell(`${cli} --help | ${unread}`)).toMatchObject({ status: 0, stderr: '' });
    expect(shell(`${cli} --help > /dev/full`)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^svc-comm: standard output cannot be written: ENOSPC.*\n$/),
    });
    expect(shell(`${cli} --nonsense --json > /dev/full`)).toMatchObject({ status: 2 });
    expect(shell(`${cli} --nonsense 2> /dev/full`)).toMatchObject({ status: 2 });
  });

  it('loads three small files for its help, and no package', () => {
    const folder = mkdtempSync(join(tmpdir(), 'svc-comm-loaded-'));
    try {
      execFileSync(process.execPath, [bin, '--help'], {
        stdio: 'ignore',
        env: { ...process.env, NODE_V8_COVERAGE: folder },
      });
      const loaded = readdirSync(folder).flatMap((name) => {
        const { result } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as { result: { url: string }[] };
        return result.map(({ url }) => url).filter((url) => url.startsWith('file:'));
      });
      expect(loaded).toContain(pathToFileURL(realpathSync(bin)).href);
      expect(loaded.filter((url) => url.includes('/node_modules/'))).toEqual([]);
      // The command, its help, and the bundler's own helper.
      expect(loaded.length).toBeLessThanOrEqual(3);
      const bytes = loaded.reduce((sum, url) => sum + statSync(fileURLToPath(url)).size, 0);
      expect(bytes).toBeLessThan(16_384);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('prints its help in little more time than Node needs to start', () => {
    const time = (args: readonly string[]): number => {
      const started = performance.now();
      execFileSync(process.execPath, [...args], { stdio: 'ignore' });
      return performance.now() - started;
    };
    const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[4] ?? Number.NaN;
    const measured = Array.from({ length: 3 }, () => {
      const rounds = Array.from({ length: 9 }, () => ({ node: time(['-e', '0']), help: time([bin, '--help']) }));
      return {
        node: median(rounds.map((round) => round.node)),
        over: median(rounds.map((round) => round.help - round.node)),
      };
    });
    // A machine that changes its speed in the middle of a series only adds to it: the least of three is nearest to the cost.
    const [{ node, over }] = measured.toSorted((a, b) => a.over - b.over) as [(typeof measured)[0]];
    console.log(`node -e 0: ${node.toFixed(0)} ms, svc-comm --help: ${over.toFixed(0)} ms over it`);
    // 25 ms where Node itself takes 100.
    expect(over).toBeLessThan(Math.max(25, node * 0.25));
  });
});
