import { basename, join, sep } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import { Lifecycle, type Service } from '../../lifecycle/service.ts';
import { CONFIG_FILES } from '../../settings/config-files.ts';

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
  readonly #options: WatchOptions;
  readonly #lifecycle: Lifecycle;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#lifecycle = new Lifecycle(this.name, {
      start: async () => {
        const watcher = watch(this.#paths(), { ignored: isIgnoredIn(options.root), ignoreInitial: true });
        this.#watcher = watcher;
        watcher.on('all', (event, file) => {
          if (event === 'add' || event === 'change' || event === 'unlink') this.#changed(file);
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

  /** Watches these as well; what is watched already stays as it is. */
  add(paths: readonly string[]): void {
    this.#watcher?.add([...paths]);
  }

  #paths(): string[] {
    const { root, configFile } = this.#options;
    const files = ['src', ...CONFIG_FILES, 'package.json', 'tsconfig.json', '.env'].map((name) => join(root, name));
    return configFile === undefined ? files : [...files, configFile];
  }

  #changed(file: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#options.onChange(file), QUIET_MS);
  }
}

/** Ignored below the project only: the project itself may stand in a folder of such a name. */
const isIgnoredIn = (root: string) => (path: string) =>
  (path.startsWith(root) ? path.slice(root.length) : path).split(sep).some((part) => IGNORED_FOLDERS.has(part)) ||
  IGNORED_FILES.test(basename(path));
