import type { FastifyInstance } from 'fastify';
import { rerooted } from '../../message/json-schema.ts';
import type { Parameter, PathItem, Paths } from './types.ts';

/** What a plugin tells of itself, each time it is asked: what is registered later is in it. */
export interface ApiSource {
  /** Stands before its paths. */
  readonly prefix: string;
  /** What it serves, where the page for people asks for that. */
  readonly of?: 'tasks' | 'processes';
  paths(): Paths | Promise<Paths>;
}

export interface DocumentOptions {
  readonly title: string;
  readonly version: string;
  readonly description?: string | undefined;
}

/** Everything that plugins of one server tell of themselves. */
export class ApiCollector {
  readonly #sources: ApiSource[] = [];
  /** Whether callers have to say who they are. */
  isSecured = false;

  add(source: ApiSource): void {
    this.#sources.push(source);
  }

  /** The path that tasks or processes are under; undefined: nobody serves them. */
  prefixOf(served: 'tasks' | 'processes'): string | undefined {
    return this.#sources.find(({ of }) => of === served)?.prefix;
  }

  /** An OpenAPI 3.1 document of what is registered now. */
  async document({ title, version, description }: DocumentOptions): Promise<object> {
    const paths: Record<string, unknown> = {};
    const taken = new Set<string>();
    for (const { prefix, paths: tell } of this.#sources) {
      const { path: start, parameters } = templated(prefix);
      for (const [path, item] of Object.entries(await tell()))
        paths[start + path] = named(rooted(item, start + path), { prefix: start, parameters, taken });
    }
    return {
      openapi: '3.1.0',
      info: { title, version, ...(description === undefined ? {} : { description }) },
      servers: [{ url: '/' }],
      paths,
      components: {
        schemas: { Problem: PROBLEM },
        ...(this.isSecured ? { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } } : {}),
      },
      security: this.isSecured ? [{ bearer: [] }] : [],
    };
  }
}

/** What schemas of bodies refer to is in themselves. */
const rooted = (item: PathItem, path: string): PathItem =>
  Object.fromEntries(
    Object.entries(item).map(([method, operation]) => {
      const { requestBody } = operation;
      if (!requestBody) return [method, operation];
      const at = `/paths/${escaped(path)}/${method}/requestBody/content`;
      const content = Object.entries(requestBody.content).map(([type, { schema }]) => [
        type,
        { schema: rerooted(schema, `${at}/${escaped(type)}/schema`) },
      ]);
      return [method, { ...operation, requestBody: { ...requestBody, content: Object.fromEntries(content) } }];
    }),
  );

/** As a part of a JSON pointer (RFC 6901) in a URL fragment. */
const escaped = (name: string): string => encodeURIComponent(name.replaceAll('~', '~0').replaceAll('/', '~1'));

/** Fastify's `/api/:tenant` as OpenAPI's `/api/{tenant}`, and what then must be said of it. */
function templated(prefix: string): { readonly path: string; readonly parameters: readonly Parameter[] } {
  const names = [...prefix.matchAll(/:(\w+)/g)].map(([, name = '']) => name);
  return {
    path: prefix.replaceAll(/:(\w+)/g, '{$1}'),
    parameters: names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
  };
}

interface Naming {
  readonly prefix: string;
  readonly parameters: readonly Parameter[];
  /** The ids of the whole document: a plugin may be registered twice. */
  readonly taken: Set<string>;
}

const named = (item: PathItem, { prefix, parameters: inPrefix, taken }: Naming): PathItem =>
  Object.fromEntries(
    Object.entries(item).map(([method, operation]) => {
      const parameters = [...inPrefix, ...(operation.parameters ?? [])];
      const operationId = freeId(`${prefix} ${operation.operationId}`, taken);
      return [method, { ...operation, operationId, ...(parameters.length > 0 ? { parameters } : {}) }];
    }),
  );

/** Linters and generators of clients want what can stand in a URL. */
function freeId(words: string, taken: Set<string>): string {
  const id = words.replaceAll(/[^\w.~-]+/g, '-').replaceAll(/^-|-$/g, '');
  let free = id;
  for (let n = 2; taken.has(free); n++) free = `${id}-${n}`;
  taken.add(free);
  return free;
}

const PROBLEM = Object.freeze({
  description: 'What is wrong (RFC 9457).',
  type: 'object',
  properties: {
    type: { type: 'string', format: 'uri-reference' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    code: { type: 'string', description: 'A stable code, as docs/errors.md lists them.' },
  },
  required: ['type', 'title', 'status'],
});

const collectors = new WeakMap<object, ApiCollector>();

/** The collector of the server that a scope belongs to. */
export function openApi({ server }: FastifyInstance): ApiCollector {
  const known = collectors.get(server);
  if (known) return known;
  const made = new ApiCollector();
  collectors.set(server, made);
  return made;
}
