// npm run test:servers: finds or gets a RabbitMQ, a PostgreSQL and a Chromium for `npm test`, and says which. What it had to start
// keeps running, and `npm test` finds it by .test-servers/servers.json; `npm run test:servers -- --stop` takes it down.
// Exit code 0: all are there, and so are the binaries from which tests start servers of their own to kill.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { tsImport } from 'tsx/esm/api';

const support = (module) => tsImport(`../test/support/servers/${module}.ts`, import.meta.url);
const { findServer, NoServerError, removeRecorded, SERVER_KINDS } = await support('find-servers');
const { readRecord, writeRecord, removeRecord } = await support('record');
const { rabbitBinaries, epmdBinary, postgresBinaries, chromiumBinary } = await support('binaries');

const PACKAGES = { broker: 'rabbitmq-server', database: 'postgresql', browser: 'chromium' };

process.exitCode = process.argv.includes('--stop') ? await stop() : await find();

async function stop() {
  const record = (await readRecord()) ?? {};
  for (const kind of SERVER_KINDS) {
    if (!record[kind]) continue;
    await removeRecorded(record[kind]);
    console.log(`${kind}: stopped (${record[kind].kind})`);
  }
  await removeRecord();
  return 0;
}

async function find() {
  const missing = [];
  for (const kind of Object.keys(PACKAGES)) if (!(await hasBinaries(kind))) missing.push(kind);
  const refused = missing.length > 0 ? install(missing.map((kind) => PACKAGES[kind])) : undefined;

  const before = (await readRecord()) ?? {};
  const record = {};
  let isMissing = false;
  for (const kind of SERVER_KINDS) {
    try {
      const { remove: _, ...found } = await findServer(kind, { keep: true });
      if (found.home ?? found.container) record[kind] = found;
      // What an earlier run started and does not answer any more.
      if (before[kind] && before[kind].url !== found.url) await removeRecorded(before[kind]).catch(() => undefined);
      console.log(`${kind}: ${found.kind}, ${new URL(found.url).host}`);
    } catch (error) {
      if (!(error instanceof NoServerError)) throw error;
      isMissing = true;
      console.error(error.message);
    }
  }
  if (record.broker ?? record.database) await writeRecord(record);

  for (const kind of SERVER_KINDS) {
    if (await hasBinaries(kind)) continue;
    isMissing = true;
    console.error(`${kind}: no binaries of ${PACKAGES[kind]}, which tests that kill servers start their own from`);
  }
  const browser = await chromiumBinary();
  if (browser) console.log(`browser: ${browser}`);
  else {
    isMissing = true;
    console.error('browser: no Chromium, in which the pages are tested');
  }
  if (isMissing) {
    if (refused) console.error(refused);
    console.error(
      'install what is missing: Debian and Ubuntu `apt-get install rabbitmq-server postgresql chromium`, ' +
        'macOS `brew install rabbitmq postgresql chromium`; binaries elsewhere: SVC_COMM_TEST_RABBITMQ_BIN and ' +
        'SVC_COMM_TEST_POSTGRES_BIN name their folders, SVC_COMM_TEST_CHROMIUM the file; servers elsewhere: SVC_COMM_TEST_BROKER_URL and ' +
        'SVC_COMM_TEST_DATABASE_URL',
    );
  }
  return isMissing ? 1 : 0;
}

async function hasBinaries(kind) {
  if (kind === 'browser') return Boolean(await chromiumBinary());
  return Boolean(kind === 'broker' ? (await rabbitBinaries()) && (await epmdBinary()) : await postgresBinaries());
}

/** @returns why not, or undefined */
function install(packages) {
  const isDebian = /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(readOrNothing('/etc/os-release'));
  if (!isDebian || process.getuid?.() !== 0) return undefined;
  console.log(`installing ${packages.join(' and ')}`);
  const apt = (...args) =>
    spawnSync('apt-get', ['-q', '-y', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  apt('update');
  const { status, stderr, error } = apt('install', '--no-install-recommends', ...packages);
  return status === 0 ? undefined : `apt-get could not install ${packages.join(' ')}: ${error?.message ?? stderr}`;
}

function readOrNothing(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
