import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const at = (path: string): string => join(root, path);
const tsc = at('node_modules/typescript/bin/tsc');
const manifest = JSON.parse(await readFile(at('package.json'), 'utf8')) as {
  readonly version: string;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly devDependencies: Readonly<Record<string, string>>;
};
/** `svc-comm`, `svc-comm/vitest` … */
const doors = Object.keys(manifest.exports)
  .filter((door) => !door.endsWith('.json'))
  .map((door) => `svc-comm${door.slice(1)}`);
/** Doors that need packages which a user installs beside ours. */
const PEERS: Readonly<Record<string, readonly string[]>> = { 'svc-comm/http': ['fastify'] };
const plainDoors = doors.filter((door) => !(door in PEERS));

interface AttwProblem {
  readonly kind: string;
  readonly resolutionKind?: string;
  readonly implementationFileName?: string;
}

let folder: string;
let tarball: string;
let packedFiles: readonly string[];

/** What is in dist/ is packed: `npm test` builds before. */
beforeAll(async () => {
  if (!existsSync(at('dist/src/index.js'))) throw new Error('dist/ is not built: run npm run build');
  folder = await mkdtemp(join(tmpdir(), 'svc-comm-package-'));
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root,
  });
  const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
  if (!packed) throw new Error('npm pack made no tarball');
  tarball = join(folder, packed.filename);
  packedFiles = packed.files.map((file) => file.path);
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }));
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', tarball], { cwd: folder });
});

afterAll(async () => {
  if (folder) await rm(folder, { recursive: true, force: true });
});

describe('the packed tarball', () => {
  it('holds the compiled code, the migrations and the papers, and nothing else', async () => {
    const expected =
      /^(dist\/(src|bin)\/.+\.(js|cjs|d\.ts|js\.map)|dist\/embedded-database\.tar\.gz|dist\/documentation\/page\.(css|js)|migrations\/\d+_.+\.sql|docs\/[a-z-]+\.(md|svg)|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/;
    expect(packedFiles.filter((file) => !expected.test(file))).toEqual([]);
    const migrations = await readdir(at('migrations'));
    expect(packedFiles).toEqual(
      expect.arrayContaining([
        'README.md',
        'CHANGELOG.md',
        'LICENSE',
        // Errors, the doctor and the README send people there.
        ...(await readdir(at('docs'))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
        ...migrations.map((name) => `migrations/${name}`),
      ]),
    );
  });

  it('is clean in the eyes of publint', async () => {
    const bytes = await readFile(tarball);
    const { messages, pkg } = await publint({
      pack: { tarball: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) },
      strict: true,
    });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });

  it('resolves its types from ESM and from a bundler, in the eyes of attw', async () => {
    const attw = at('node_modules/@arethetypeswrong/cli/dist/index.js');
    // It is an ESM-only package: CommonJS gets it by require(esm), which attw does not know.
    const report = join(folder, 'attw.json');
    // It ends by process.exit, which cuts off what a pipe has not taken.
    const file = await open(report, 'w');
    spawnSync(process.execPath, [attw, tarball, '--profile', 'esm-only', '--format', 'json'], {
      stdio: ['ignore', file.fd, 'ignore'],
    });
    await file.close();
    const { analysis } = JSON.parse(await readFile(report, 'utf8')) as { analysis: { problems: AttwProblem[] } };
    const problems = analysis.problems.filter(
      ({ kind, resolutionKind = '', implementationFileName = '' }) =>
        !['node10', 'node16-cjs'].includes(resolutionKind) &&
        // Types of an ES module, as what such a file gives to `require` is one.
        !(kind === 'FalseESM' && implementationFileName.endsWith('.cjs')),
    );
    expect(problems).toEqual([]);
  });
});

describe('installed in an empty project', () => {
  const installed = (path: string): string => join(folder, 'node_modules', path);

  it('runs as svc-comm', async () => {
    const { stdout } = await run('npx', ['--no-install', 'svc-comm', '--version'], { cwd: folder });
    expect(stdout.trim()).toBe(manifest.version);
    const help = await run('npx', ['--no-install', 'svc-comm', '--help'], { cwd: folder });
    for (const command of ['runconsumer', 'devconsumer', 'runpublisher', 'devpublisher', 'checkpublisher', 'migrate']) {
      expect(help.stdout).toContain(command);
    }
  });

  it.each(plainDoors)('%s is imported by ESM and required by CommonJS, with the same names', sameNames);

  it('type-checks in a strict project without skipLibCheck, with standard and with legacy decorators', () =>
    typeChecks(plainDoors));

  it('says of serve which packages it needs, and runs all else without them', async () => {
    await writeFile(
      join(folder, 'tasks.js'),
      "import { task } from 'svc-comm/task';\nexport const one = task({ name: 'one' }, () => 1);\n",
    );
    await writeFile(
      join(folder, 'svc-comm.config.json'),
      JSON.stringify({ tasks: ['tasks.js'], databaseUrl: 'postgres://nobody@localhost:1/x' }),
    );
    const bin = installed('svc-comm/dist/bin/svc-comm.js');
    const served = run(process.execPath, [bin, 'serve', '--json'], { cwd: folder });
    const { stdout } = await served.then(
      () => Promise.reject(new Error('it ran')),
      (failed: { stdout: string }) => failed,
    );
    const { error } = JSON.parse(stdout);
    expect(error).toMatchObject({ code: 'SVC_COMM_MISSING_PACKAGE', packages: PEERS['svc-comm/http'] });
  });

  it('finds its migrations from where it is installed', async () => {
    await mkdir(join(folder, 'elsewhere'));
    const { stdout } = await run(process.execPath, [installed('svc-comm/dist/bin/svc-comm.js'), 'migrate', '--help'], {
      cwd: join(folder, 'elsewhere'),
    });
    expect(stdout).toContain('migrate');
    expect(await readdir(installed('svc-comm/migrations'))).toEqual(await readdir(at('migrations')));
  });
});

describe('installed beside fastify', () => {
  beforeAll(async () => {
    const packages = Object.values(PEERS)
      .flat()
      .map((name) => `${name}@${manifest.devDependencies[name]}`);
    await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', ...packages], { cwd: folder });
  });

  it.each(Object.keys(PEERS))('%s is imported by ESM and required by CommonJS, with the same names', sameNames);

  it('type-checks with every door', () => typeChecks(doors));

  it('has the page /docs with its files, and no Swagger UI unless that package is there', async () => {
    const program = `
      import { fastify } from 'fastify';
      import { docs } from 'svc-comm/http';
      const app = fastify();
      await app.register(docs);
      const paths = ['/docs', '/docs/page.js', '/docs/page.css', '/openapi.json', '/asyncapi.json', '/docs/api'];
      const answers = await Promise.all(paths.map((url) => app.inject({ url, headers: { host: 'localhost' } })));
      console.log(JSON.stringify([answers.map(({ statusCode }) => statusCode), answers[0].body.includes('/docs/api')]));
    `;
    await writeFile(join(folder, 'page.js'), program);
    const { stdout } = await run(process.execPath, ['page.js'], { cwd: folder });
    expect(JSON.parse(stdout)).toEqual([[200, 200, 200, 200, 200, 404], false]);
  });
});

async function sameNames(door: string): Promise<void> {
  const names = (code: string, type: string) =>
    run(process.execPath, [`--input-type=${type}`, '-e', code], { cwd: folder }).then(({ stdout }) => stdout.trim());
  const imported = await names(`console.log(Object.keys(await import('${door}')).sort().join())`, 'module');
  const required = await names(`console.log(Object.keys(require('${door}')).sort().join())`, 'commonjs');
  expect(imported).not.toBe('');
  // Node adds it for those that compile `import` to `require`.
  expect(required.replace('__esModule,', '')).toBe(imported);
}

async function typeChecks(which: readonly string[]): Promise<void> {
  const imports = which.map((door, index) => `import * as door${index} from '${door}';\nvoid door${index};`);
  await writeFile(join(folder, 'user.ts'), `${imports.join('\n')}\n${CONSUMER}`);
  const common = {
    target: 'es2022',
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    skipLibCheck: false,
    noEmit: true,
    types: ['node'],
    typeRoots: [at('node_modules/@types')],
  };
  for (const [name, options] of Object.entries({ standard: {}, legacy: { experimentalDecorators: true } })) {
    const project = join(folder, `tsconfig.${name}.json`);
    await writeFile(project, JSON.stringify({ compilerOptions: { ...common, ...options }, files: ['user.ts'] }));
    const { stdout } = await run(process.execPath, [tsc, '-p', project], { cwd: folder }).catch(
      ({ stdout }: { stdout: string }) => ({
        stdout,
      }),
    );
    // Only what stands in our files and in the user's: the libraries beneath us have words of their own.
    const ours = stdout.split('\n').filter((line) => /^(node_modules\/svc-comm\/|user\.ts)/.test(line));
    expect(ours, name).toEqual([]);
  }
}

const CONSUMER = `
import { defineConfig, eventConsumer, type EventInfo, type MessageContext, messageRouter, publishAggregateEvent } from 'svc-comm';

export default defineConfig({ brokerUrl: 'amqp://localhost', exchanges: ['user'], binds: [['user', 'event.*']] });

export class UserConsumers {
  @messageRouter.consumer('user', 'create.base')
  @eventConsumer
  static async onUser(payload: { id: number }, event: EventInfo, context: MessageContext): Promise<void> {
    await publishAggregateEvent({
      aggregate: 'order',
      eventType: 'create.base',
      payload: { user: payload.id, because: event.eventId, attempt: context.attempt },
    });
  }
}
`;
