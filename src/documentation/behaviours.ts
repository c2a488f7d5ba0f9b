import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { glob } from 'tinyglobby';
import { type TestTitle, testTitles } from './test-titles.ts';

export interface TestSearch {
  /** The project's folder. */
  readonly root: string;
  /** Globs of test files. */
  readonly tests: readonly string[];
}

interface TestFile {
  /** `addition` of `test/addition.test.ts`. */
  readonly stem: string;
  readonly titles: readonly TestTitle[];
}

/** Larger ones are generated. */
const MAX_BYTES = 1024 * 1024;

/** What tests say of a task or process, by its name; from their titles alone: none is run. */
export class Behaviours {
  readonly #files: readonly TestFile[];

  constructor(files: readonly TestFile[]) {
    this.#files = files;
  }

  /** A file that cannot be read has no titles. */
  static async find({ root, tests }: TestSearch): Promise<Behaviours> {
    const ignore = ['**/node_modules/**', '**/dist/**'];
    const files = (await glob([...tests], { cwd: root, absolute: true, ignore })).toSorted();
    const read = async (file: string): Promise<TestFile> => {
      const source = await readFile(file, 'utf8').catch(() => '');
      return { stem: stemOf(file), titles: source.length > MAX_BYTES ? [] : testTitles(source) };
    };
    return new Behaviours(await Promise.all(files.map(read)));
  }

  /**
   * Titles in a file `NAME.test.ts`, in a `describe` that has the name in its title, and titles that begin with it; each
   * once, in their order.
   */
  of(name: string): readonly string[] {
    const isNamed = mentions(name);
    // `comms.sendHello` is in comms/sendHello.ts, and its test beside it.
    const last = name.split('.').at(-1);
    const found = this.#files.flatMap(({ stem, titles }) =>
      titles.flatMap(({ groups, title }) => {
        const inner = groups.slice(groups.findLastIndex(isNamed) + 1);
        if (stem === name || stem === last || groups.some(isNamed))
          return [sentence([...inner.filter((group) => group !== name), title])];
        return begins(name, title) ? [title] : [];
      }),
    );
    return [...new Set(found)];
  }
}

const stemOf = (file: string): string => basename(file).replace(/\.(test|spec)\.[cm]?[jt]sx?$/, '');

const sentence = (parts: readonly string[]): string => parts.join(' › ');

/** As a word of its own: `nap` is not in "snapshot", and `http.request` not in "http.requests". */
const mentions = (name: string) => (title: string) => {
  for (let at = title.indexOf(name); at >= 0; at = title.indexOf(name, at + 1)) {
    if (isEdge(title[at - 1]) && isEdge(title[at + name.length])) return true;
  }
  return false;
};

const begins = (name: string, title: string): boolean => title.startsWith(name) && isEdge(title[name.length]);

const isEdge = (character: string | undefined): boolean =>
  character === undefined || !/[\p{L}\p{N}_-]/u.test(character);
