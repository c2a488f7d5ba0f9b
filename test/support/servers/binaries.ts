import { execFile } from 'node:child_process';
import { access, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import type { UserIds } from './server-process.ts';

const run = promisify(execFile);

/** Folder of `rabbitmq-server` and `rabbitmqctl` themselves: Debian's commands in PATH are wrappers that change user and folder. */
export const rabbitBinaries = (): Promise<string | undefined> =>
  firstFolderWith('rabbitmq-server', [
    ...given('SVC_COMM_TEST_RABBITMQ_BIN'),
    '/usr/lib/rabbitmq/bin',
    '/opt/homebrew/opt/rabbitmq/sbin',
    '/usr/local/opt/rabbitmq/sbin',
    '/opt/rabbitmq/sbin',
  ]);

/** Folder of `epmd`, Erlang's name server: in PATH, or beside a runtime that is not. */
export const epmdBinary = async (): Promise<string | undefined> => {
  const runtimes = await subfolders('/usr/lib/erlang', 'bin');
  const folder = await firstFolderWith('epmd', [...inPath(), ...runtimes]);
  return folder && join(folder, 'epmd');
};

/** Folder of `initdb` and `postgres`, the newest version first. */
export const postgresBinaries = async (): Promise<string | undefined> =>
  firstFolderWith('initdb', [
    ...given('SVC_COMM_TEST_POSTGRES_BIN'),
    ...(await subfolders('/usr/lib/postgresql', 'bin')),
    ...inPath(),
    '/opt/homebrew/opt/postgresql/bin',
    '/usr/local/pgsql/bin',
  ]);

/** A Chromium for the tests that look at pages. */
export const chromiumBinary = async (): Promise<string | undefined> => {
  const candidates = [
    ...given('SVC_COMM_TEST_CHROMIUM'),
    ...['chromium', 'chromium-browser', 'google-chrome'].flatMap((name) =>
      inPath().map((folder) => join(folder, name)),
    ),
    '/usr/bin/chromium',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  ];
  for (const file of candidates) if (await isThere(file)) return file;
  return undefined;
};

/** PostgreSQL does not run as root: who runs it instead. Undefined when we are somebody else already. */
export async function postgresUser(): Promise<UserIds | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const ids = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]).catch(() => undefined);
    if (ids) return { uid: Number(ids[0].stdout), gid: Number(ids[1].stdout) };
  }
  throw new Error('PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody');
}

const given = (variable: string): string[] => (process.env[variable] ? [process.env[variable]] : []);
const inPath = (): string[] => (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');

async function subfolders(parent: string, child: string): Promise<string[]> {
  const names = await readdir(parent).catch(() => []);
  return names.sort((a, b) => b.localeCompare(a, 'en', { numeric: true })).map((name) => join(parent, name, child));
}

async function firstFolderWith(program: string, folders: readonly string[]): Promise<string | undefined> {
  for (const folder of folders) {
    if (await isThere(join(folder, program))) return folder;
  }
  return undefined;
}

const isThere = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
