import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type OwnPostgres, type OwnRabbit, startOwnPostgres, startOwnRabbit } from '../support/own-servers.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
let rabbit: OwnRabbit;
let postgres: OwnPostgres;
let folder: string;
const children: ChildProcess[] = [];

/** The README's files: each a code block behind a line that ends with the file's name in backquotes and a colon. */
async function readmeFiles(): Promise<Map<string, string>> {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const found = [...readme.matchAll(/`([\w./-]+\.ts)`:\n\n```ts\n([\s\S]*?)```/g)];
  return new Map(found.map(([, file = '', text = '']) => [file, text]));
}

/** What it says to run in a project, with the tarball for the package's name. */
async function readmeInstallation(tarball: string): Promise<string> {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const [, commands = ''] = /^In your project: `([^`]+)`/m.exec(readme) ?? [];
  return commands.replace('npm install svc-comm', `npm install --no-audit --no-fund --prefer-offline ./${tarball}`);
}

const env = () => ({ ...process.env, SVC_COMM_BROKER_URL: rabbit.url, SVC_COMM_DATABASE_URL: postgres.url });

/** Starts a command; resolves with the first line of its output that holds the text. */
function start(args: readonly string[]) {
  const child = spawn('npx', ['--no-install', ...args], {
    cwd: folder,
    env: env(),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  children.push(child);
  const lines: string[] = [];
  const waiting: { text: string; resolve: (line: string) => void }[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      for (const waiter of waiting) if (line.includes(waiter.text)) waiter.resolve(line);
    });
  }
  const line = (text: string) =>
    Promise.race([
      new Promise<string>((resolve) => {
        const seen = lines.find((known) => known.includes(text));
        if (seen) resolve(seen);
        else waiting.push({ text, resolve });
      }),
      once(child, 'exit').then(([code]) => {
        throw new Error(`${args.join(' ')} exited ${code} before it said "${text}":\n${lines.join('\n')}`);
      }),
    ]);
  return { child, line };
}

beforeAll(async () => {
  [rabbit, postgres, folder] = await Promise.all([
    startOwnRabbit(),
    startOwnPostgres(),
    mkdtemp(join(tmpdir(), 'svc-comm-newcomer-')),
  ]);
});

afterAll(async () => {
  for (const child of children) {
    if (child.exitCode === null && child.pid) process.kill(-child.pid, 'SIGKILL');
  }
  await Promise.all([rabbit?.remove(), postgres?.remove()]);
  if (folder) await rm(folder, { recursive: true, force: true });
});

test('the README works in a project that npm init made, with the packed tarball: the handler prints the event', async () => {
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root,
  });
  const [packed] = JSON.parse(stdout) as { filename: string }[];
  await run('npm', ['init', '-y'], { cwd: folder });
  await run('sh', ['-c', await readmeInstallation(packed?.filename ?? '')], { cwd: folder });
  const files = await readmeFiles();
  expect([...files.keys()]).toEqual(['svc-comm.config.ts', 'src/consumers.ts', 'src/place-order.ts']);
  for (const [file, text] of files) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), text);
  }

  await run('npx', ['--no-install', 'svc-comm', 'migrate'], { cwd: folder, env: env() });
  const consumer = start(['svc-comm', 'runconsumer']);
  await consumer.line('consuming');
  start(['svc-comm', 'runpublisher']);
  await run('npx', ['--no-install', 'tsx', 'src/place-order.ts'], { cwd: folder, env: env() });
  expect(await consumer.line('order 7')).toContain('order 7 over 120, create.base, attempt 1');
});
