import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type Profiler, type Runtime, Session } from 'node:inspector';
import { SourceMap } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const INTERVAL_US = 250;
/** Below it a line says nothing. */
const LEAST_SHARE = 0.01;

/** Self time by what it was spent in, of one side. */
type Shares = Map<string, number>;

/**
 * Where the CPU of this process goes while a side is timed: `--profile DIR`. A session in its own process answers at once, so
 * that nothing but what is timed is in it.
 */
export class ProcessProfile {
  #folder: string | undefined;
  #session: Session | undefined;
  #side: string | undefined;
  readonly #shares = new Map<string, Shares>();
  readonly #sources = new Map<string, SourceMap | undefined>();

  open(folder: string): void {
    mkdirSync(folder, { recursive: true });
    this.#folder = folder;
    this.#session = new Session();
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US });
  }

  /** What is timed meanwhile is of this side. */
  async of<T>(side: string, work: () => Promise<T>): Promise<T> {
    this.#side = side;
    try {
      return await work();
    } finally {
      this.#side = undefined;
    }
  }

  begin(): void {
    if (this.#side !== undefined) this.#session?.post('Profiler.start');
  }

  /** Adds it to the shares of the side, and writes it down in place of the one before, for a browser's DevTools. */
  end(): void {
    const [side, folder] = [this.#side, this.#folder];
    if (side === undefined || folder === undefined) return;
    this.#session?.post('Profiler.stop', (_error, { profile }) => {
      this.#add(side, profile);
      writeFileSync(join(folder, `${side.replaceAll(/\W+/g, '-')}.cpuprofile`), JSON.stringify(profile));
    });
  }

  /** What was added since the last time, a line for each side. */
  take(): string[] {
    const lines = [...this.#shares].map(([side, shares]) => {
      const sum = [...shares.values()].reduce((total, us) => total + us, 0);
      const told = [...shares]
        .toSorted(([, a], [, b]) => b - a)
        .filter(([, us]) => us >= sum * LEAST_SHARE)
        .map(([what, us]) => `${what} ${((us / sum) * 100).toFixed(0)} %`);
      return `profile of ${side}: ${told.join(', ')}`;
    });
    this.#shares.clear();
    return lines;
  }

  #add(side: string, { nodes, samples = [], timeDeltas = [] }: Profiler.Profile): void {
    const shares = this.#shares.get(side) ?? new Map<string, number>();
    const whats = new Map(nodes.map(({ id, callFrame }) => [id, this.#what(callFrame)]));
    for (const [i, id] of samples.entries()) {
      const what = whats.get(id);
      if (what !== undefined) shares.set(what, (shares.get(what) ?? 0) + (timeDeltas[i] ?? 0));
    }
    this.#shares.set(side, shares);
  }

  /** @returns undefined for what is nobody's work: waiting, and the profiler itself */
  #what({ functionName, url, lineNumber, columnNumber }: Runtime.CallFrame): string | undefined {
    // The session's own calls are `dispatch`.
    if (functionName === '(idle)' || url.includes('inspector') || (url === '' && functionName === 'dispatch')) return;
    if (functionName === '(garbage collector)') return 'collections';
    if (url === '' || url.startsWith('node:')) return OF_NODE.find(([parts]) => parts.test(url || functionName))?.[1];
    const [, name = ''] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? [];
    if (name !== '') return PARTS_OF.find(([parts]) => parts.test(name))?.[1] ?? name;
    const source = this.#source(url)?.findEntry(lineNumber, columnNumber);
    const file = source && 'originalSource' in source ? source.originalSource : url;
    return file.replace(/^.*\/((?:src|bench)\/)/, '$1');
  }

  #source(url: string): SourceMap | undefined {
    if (!this.#sources.has(url)) this.#sources.set(url, readSourceMap(url));
    return this.#sources.get(url);
  }
}

/** By the module, or the name of what is written in C++. The last takes the rest. */
const OF_NODE: readonly (readonly [RegExp, string])[] = [
  [
    /^(node:(net|tls|_http.*|internal\/(streams?|stream_base_commons|js_stream).*)|write.*|readStart|shutdown)$/,
    'sockets',
  ],
  [/^(node:(buffer|internal\/buffer)|.*(Write|Slice)|copy|isUtf8|byteLengthUtf8|fill|compare)$/, 'buffers'],
  [/^$|^\(/, 'outside of JavaScript'],
  [/^/, "Node's other parts"],
];

/** Packages that come with another one. */
const PARTS_OF: readonly (readonly [RegExp, string])[] = [
  [/^(pg|pg-.*|postgres-.*)$/, 'pg'],
  [/^(knex|tarn|lodash|debug)$/, 'knex'],
  [/^(amqplib|buffer-more-ints)$/, 'amqplib'],
];

function readSourceMap(url: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${fileURLToPath(url)}.map`, 'utf8')));
  } catch {
    return undefined;
  }
}

export const processProfile = new ProcessProfile();
