import { existsSync, fstatSync, type Stats, statSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import type { Logger } from '../../lifecycle/logger.ts';
import { Lifecycle, type Service } from '../../lifecycle/service.ts';
import { CONFIG_FILES } from '../../settings/config-files.ts';
import { codeOf, isError, messageOf } from '../../util/thrown.ts';

const FILES: readonly string[] = [...CONFIG_FILES, 'package.json', 'tsconfig.json', '.env'];
const IGNORED_FOLDERS: ReadonlySet<string> = new Set(['node_modules', 'dist', '.git', '.svc-comm', 'coverage']);
/** Editors' own files: vim's swap and test files, backups, emacs locks. And logs, which the project itself writes. */
const IGNORED_FILES = /(^4913|~|\.sw[a-z]|\.tmp|^\.#.*|^#.*#|\.log(\.\d+)?)$/;
/** Editors write a file in several steps. */
const QUIET_MS = 50;
const MAY_NOT_READ = 'this user may not read it';
/** By the system's code, what to do about what cannot be watched. */
const REASONS: Readonly<Record<string, string>> = {
  ENOSPC:
    'this user has no inotify watch left: raise fs.inotify.max_user_watches (sysctl -w fs.inotify.max_user_watches=524288)',
  EMFILE:
    'this user has no inotify instance, or this process no file, left: raise fs.inotify.max_user_instances, or `ulimit -n`',
  EACCES: MAY_NOT_READ,
  EPERM: MAY_NOT_READ,
};
/** Calls that chokidar goes on after; after another that fails it may never be ready. */
const GOES_ON_AFTER: ReadonlySet<unknown> = new Set(['watch', 'stat', 'realpath']);

export interface WatchOptions {
  readonly root: string;
  /** A settings file that was named. */
  readonly configFile?: string | undefined;
  /** Told what cannot be watched: it is left out, and the rest is watched all the same. */
  readonly logger: Logger;
  /** Called once for changes that come together. */
  readonly onChange: (file: string) => void;
}

/** Watches the project's sources, settings, package.json, tsconfig.json and .env, new files too. */
export class ProjectWatch implements Service {
  readonly name = 'watch';
  readonly #root: string;
  readonly #onChange: (file: string) => void;
  readonly #logger: Logger;
  /** Codes that were warned of. A limit that is reached fails every file from there on. */
  readonly #told = new Set<string>();
  readonly #lifecycle: Lifecycle;
  /** Files, and folders with all that is in them, which the watcher of the root tells of, also when they appear later. */
  readonly #watched: Set<string>;
  /** Those that were there when they were added: each has a watcher, since the root's has passed them over already. */
  readonly #added = new Set<string>();
  readonly #outputs = outputFiles();
  #watchers: FSWatcher[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor({ root, configFile, onChange, logger }: WatchOptions) {
    this.#root = root;
    this.#onChange = onChange;
    this.#logger = logger;
    const files = [...FILES.map((name) => join(root, name)), ...(configFile === undefined ? [] : [configFile])];
    this.#watched = new Set([join(root, 'src'), ...files]);
    this.#lifecycle = new Lifecycle(this.name, {
      start: () => this.#watch(root, (path) => this.#isOutside(path)),
      stop: async () => {
        clearTimeout(this.#timer);
        await Promise.all(this.#watchers.map(closed));
        this.#watchers = [];
      },
    });
  }

  get state() {
    return this.#lifecycle.state;
  }
  start(): Promise<void> {
    return this.#lifecycle.start();
  }
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /**
   * Watches these files and folders of the project as well, also those that do not exist yet.
   * @returns when they are watched
   */
  async add(paths: readonly string[]): Promise<void> {
    const unknown = paths.filter((path) => ![...this.#watched, ...this.#added].some((known) => isWithin(path, known)));
    // Asked in the same turn, so that what appears after this line reaches the root's watcher as a change.
    const isThere = new Map(unknown.map((path) => [path, existsSync(path)]));
    for (const [path, exists] of isThere) (exists ? this.#added : this.#watched).add(path);
    await Promise.all([...this.#added].filter((path) => isThere.get(path)).map((path) => this.#watch(path)));
  }

  /** One path that exists: chokidar is ready too early when it is given some that do not. */
  async #watch(path: string, isIgnored: (path: string) => boolean = () => false): Promise<void> {
    const ignored = (file: string) => file !== path && (this.#isOther(file) || isIgnored(file));
    const watcher = watch(path, { ignored, ignoreInitial: true });
    this.#watchers.push(watcher);
    watcher.on('all', (event, file) => {
      if (file === path && event.startsWith('unlink')) this.#handBack(path);
      if (event === 'addDir' || event === 'unlinkDir' || this.#isOutput(file)) return;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(this.#onChange, QUIET_MS, file);
    });
    await new Promise<void>((resolve) => {
      watcher.once('ready', resolve);
      watcher.on('error', (error) => {
        this.#leftOut(path, error);
        if (!(isError(error) && 'syscall' in error && GOES_ON_AFTER.has(error.syscall))) resolve();
      });
    });
  }

  /** The developer's run does not hang on it: a change there is taken up by the next start. */
  #leftOut(within: string, error: unknown): void {
    const path = isError(error) && 'path' in error ? String(error.path) : within;
    const code = codeOf(error) ?? '';
    const fields = { path, error: messageOf(error) };
    const text = `cannot watch ${path}, so that a change there starts nothing anew: ${REASONS[code] ?? messageOf(error)}`;
    if (this.#told.has(code)) this.#logger.debug(fields, text);
    else this.#logger.warn(fields, text);
    this.#told.add(code);
  }

  /** Its watcher is blind now; when it is made again, the root's tells. */
  #handBack(path: string): void {
    if (this.#added.delete(path)) this.#watched.add(path);
  }

  /** Below the project only: the project itself may stand in a folder of such a name. */
  #isOther(path: string): boolean {
    const parts = relative(this.#root, path).split(sep);
    return parts.some((part) => IGNORED_FOLDERS.has(part)) || IGNORED_FILES.test(basename(path));
  }

  /** Each start would tell of itself there, and so be followed by another. */
  #isOutput(file: string): boolean {
    if (this.#outputs.length === 0) return false;
    const stats = statSync(file, { throwIfNoEntry: false });
    return stats !== undefined && this.#outputs.some(({ dev, ino }) => dev === stats.dev && ino === stats.ino);
  }

  #isOutside(path: string): boolean {
    return ![...this.#watched].some((watched) => isWithin(path, watched) || isWithin(watched, path));
  }
}

/** Without a listener, an error of a look that is still under way would end the process. */
function closed(watcher: FSWatcher): Promise<void> {
  const closing = watcher.close();
  watcher.on('error', () => undefined);
  return closing;
}

/** The files that standard output and standard error lead to, by whatever name: `svc-comm devconsumer > dev.txt`. */
function outputFiles(): readonly Stats[] {
  return [process.stdout.fd, process.stderr.fd].flatMap((fd) => {
    try {
      const stats = fstatSync(fd);
      return stats.isFile() ? [stats] : [];
    } catch {
      return []; // closed by whoever started us
    }
  });
}

const isWithin = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}${sep}`);
