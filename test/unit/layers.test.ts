import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/**
 * The storeys of src/, lowest first; what stands in one line does not know its neighbours. A folder is named by its
 * name, a file of src/ by its file name.
 */
const LAYERS: readonly (readonly string[])[] = [
  ['parse-duration.ts'],
  ['errors.ts'],
  ['util'],
  ['lifecycle', 'message', 'wire'],
  ['telemetry'],
  ['broker', 'database', 'embedded', 'router'],
  ['consumer', 'outbox', 'command', 'call', 'rest-api', 'task'],
  ['process', 'dead-letters', 'contract'],
  ['documentation', 'discovery'],
  ['http', 'console'],
  // The top of the house: settings say what is wanted, assemble.ts builds it, the doors hand it out.
  ['settings'],
  ['assembly'],
  ['doctor'],
  ['assemble.ts'],
  ['default-service.ts'],
  ['index.ts', 'rest-api-door.ts', 'task-door.ts', 'vitest.ts'],
  ['process-door.ts'],
  ['http-door.ts'],
  ['testing', 'demo'],
  ['testing-door.ts'],
  ['cli'],
];

/** Neighbours that may be known by their types. */
const NEIGHBOURS: readonly string[] = [
  // The ports of the waist are Services, and a handler's context has a logger.
  'message → lifecycle',
];

/** Who may know src/http/: for the others fastify need not be there. The command line imports it when it is asked for. */
const HTTP_USERS: readonly string[] = ['http-door.ts', 'cli/project-server.ts', 'cli/commands/docs-build.ts'];

/** Which folders may know a library. */
const ONLY_IN: Readonly<Record<string, string>> = {
  amqplib: 'broker',
  pg: 'database',
  knex: 'database',
  axios: 'rest-api',
  undici: 'rest-api',
  fastify: 'http',
  '@fastify/swagger-ui': 'http',
  '@electric-sql/pglite': 'embedded',
  'prom-client': 'telemetry',
};

const MAX_LINES = 250;

const src = fileURLToPath(new URL('../../src/', import.meta.url));
const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
  /** Whoever uses the folder that knows one has installed it. */
  readonly peerDependencies: Readonly<Record<string, string>>;
};

interface Import {
  readonly file: string;
  /** `import type`: nothing of it is left when the program runs. */
  readonly isType: boolean;
  readonly specifier: string;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
const imports = files.flatMap((file) => importsOf(file));

function importsOf(file: string): Import[] {
  const code = readFileSync(join(src, file), 'utf8').replaceAll(/^\s*(\*|\/\/|\/\*).*$/gm, '');
  const pattern = /(?:\b(?:import|export)\s+(type\s)?[^'";]*?\bfrom\s+|\bimport\s+|\bimport\(\s*)['"]([^'"]+)['"]/g;
  return [...code.matchAll(pattern)].flatMap(([, type, specifier]) =>
    specifier ? [{ file, specifier, isType: type !== undefined }] : [],
  );
}

/** The part of the house that a file of src/ belongs to. */
const part = (file: string): string => file.split('/')[0] ?? file;
const layerOf = (name: string): number => LAYERS.findIndex((names) => names.includes(name));
const target = ({ file, specifier }: Import): string => part(relative(src, join(src, dirname(file), specifier)));
const isRelative = ({ specifier }: Import): boolean => specifier.startsWith('.');
const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

describe('the storeys of src/', () => {
  it('give every folder and file its place', () => {
    expect([...new Set(files.map(part))].filter((name) => layerOf(name) < 0)).toEqual([]);
  });

  it('are only ever imported from above, and never by a neighbour', () => {
    const wrong: string[] = [];
    for (const entry of imports.filter(isRelative)) {
      const from = part(entry.file);
      const to = target(entry);
      if (from === to || (entry.isType && NEIGHBOURS.includes(`${from} → ${to}`))) continue;
      if (layerOf(to) >= layerOf(from)) wrong.push(`${entry.file} imports ${entry.specifier}`);
    }
    expect(wrong).toEqual([]);
  });

  it.each(Object.entries(ONLY_IN))('let %s be known in %s/ only', (library, folder) => {
    const elsewhere = imports.filter((entry) => packageOf(entry.specifier) === library && part(entry.file) !== folder);
    expect(elsewhere.map((entry) => entry.file)).toEqual([]);
  });

  it('let http/ be known by its door and by what serves it only: without fastify the rest works', () => {
    const users = imports.filter(
      (entry) => isRelative(entry) && part(entry.file) !== 'http' && target(entry) === 'http',
    );
    expect([...new Set(users.map((entry) => entry.file))].filter((file) => !HTTP_USERS.includes(file))).toEqual([]);
  });

  it('import no package that a user of ours does not get', () => {
    const bare = imports.filter((entry) => !isRelative(entry) && !isBuiltin(entry.specifier));
    const { dependencies, optionalDependencies, peerDependencies } = manifest;
    const given = { ...dependencies, ...optionalDependencies, ...peerDependencies };
    const missing = bare.filter((entry) => !(packageOf(entry.specifier) in given));
    expect(missing.map((entry) => `${entry.file} imports ${entry.specifier}`)).toEqual([]);
  });

  it('are built of files that hold one noun each (a longer one is listed, and does not fail)', ({ annotate }) => {
    for (const file of files) {
      const lines = readFileSync(join(src, file), 'utf8').split('\n').length;
      if (lines > MAX_LINES) annotate(`${file} has ${lines} lines: is there a second noun inside?`, 'warning');
    }
  });
});
