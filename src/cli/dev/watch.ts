import { basename, join, relative, sep } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import { Lifecycle, type Service } from '../../lifecycle/service.ts';
import { CONFIG_FILES } from '../../settings/config-files.ts';

const FILES: readonly string[] = [...CONFIG_FILES, 'package.json', 'tsconfig.json', '.env'];
const IGNORED_FOLDERS: ReadonlySet<string> = new Set(['node_modules', 'dist', '.git', '.svc-comm', 'coverage']);
/** Editors' own files: vim's swap and test files, backups, emacs locks. */
const IGNORED_FILES = /(^4913|~|\.sw[a-z]|\.tmp|^\.#.*|^#.*#)$/;
/** Editors write a file in several steps. */
const QUIET_MS = 50;

export interface WatchOptions {
  readonly root: string;
  /** A settings file that was named. */
  readonly configFile?: string | undefined;
  /** Called once for changes that come together. */
  readonly onChange: (file: string) => void;
}

/** Watches the project's sources, settings, package.json, tsconfig.json and .env, new files too. */
export class ProjectWatch implements Service {
  readonly name = 'watch';
  readonly #root: string;
  readonly #lifecycle: Lifecycle;
  /** Files, and folders with all that is in them. */
  readonly #watched: Set<string>;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor({ root, configFile, onChange }: WatchOptions) {
    this.#root = root;
    const files = [...FILES.map((name) => join(root, name)), ...(configFile === undefined ? [] : [configFile])];
    this.#watched = new Set([join(root, 'src'), ...files]);
    this.#lifecycle = new Lifecycle(this.name, {
      start: async () => {
        // One path that exists: chokidar is ready too early when it is given some that do not.
        const watcher = watch(root, { ignored: (path) => this.#isIgnored(path), ignoreInitial: true });
        this.#watcher = watcher;
        watcher.on('all', (event, file) => {
          if (event === 'addDir' || event === 'unlinkDir') return;
          clearTimeout(this.#timer);
          this.#timer = setTimeout(onChange, QUIET_MS, file);
        });
        await new Promise<void>((resolve) => watcher.once('ready', resolve));
      },
      stop: async () => {
        clearTimeout(this.#timer);
        await this.#watcher?.close();
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

  /** Watches these files and folders of the project as well, also those that do not exist yet. */
  add(paths: readonly string[]): void {
    const added = paths.filter((path) => !this.#isWatched(path));
    for (const path of added) this.#watched.add(path);
    if (added.length > 0) this.#watcher?.add(added);
  }

  #isIgnored(path: string): boolean {
    if (path === this.#root) return false;
    // Below the project only: the project itself may stand in a folder of such a name.
    const isOther = relative(this.#root, path)
      .split(sep)
      .some((part) => IGNORED_FOLDERS.has(part));
    if (isOther || IGNORED_FILES.test(basename(path))) return true;
    return !this.#isWatched(path) && ![...this.#watched].some((watched) => isWithin(watched, path));
  }

  #isWatched(path: string): boolean {
    return [...this.#watched].some((watched) => isWithin(path, watched));
  }
}

const isWithin = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}${sep}`);
