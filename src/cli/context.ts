import type { Logger, LogLevel } from '../lifecycle/logger.ts';
import type { Settings } from '../settings/define.ts';
import type { Override } from '../settings/override.ts';
import type { ResolvedSettings } from '../settings/resolved.ts';

/** Options that every command takes. */
export interface GlobalOptions {
  readonly config?: string;
  readonly json?: boolean;
  /** False after `--no-wait`. */
  readonly wait: boolean;
  readonly logLevel?: LogLevel;
  /** The process is the child of a `dev*` command. */
  readonly devChild?: boolean;
}

export type Role = 'consumer' | 'publisher' | 'worker' | 'server' | 'dev' | 'migrate' | 'broker' | 'cli';

/** What a command gets: settings and logger as the global options want them, loaded when asked for. */
export interface CommandContext {
  readonly options: GlobalOptions;
  /** @param defaults what settings are that are set nowhere, instead of their own defaults */
  loadSettings(defaults?: Settings): Promise<ResolvedSettings>;
  /** JSON lines, or one readable line each on a terminal. */
  createLogger(role: Role, settings?: ResolvedSettings): Promise<Logger>;
  /** The command's result on standard output: for people, or as one JSON value with `--json`. */
  print(result: object, text: string): void;
}

export function createContext(options: GlobalOptions): CommandContext {
  return {
    options,
    async loadSettings(defaults) {
      const { loadSettings } = await import('../settings/load.ts');
      return loadSettings({ configFile: options.config, options: overridesOf(options), defaults });
    },
    async createLogger(role, settings) {
      const level = options.logLevel ?? settings?.logLevel ?? 'info';
      if (process.stderr.isTTY && !options.json) {
        return (await import('./terminal-logger.ts')).createTerminalLogger(level, role);
      }
      const { createLogger } = await import('../lifecycle/logger.ts');
      return createLogger(level, settings ? { appId: settings.appId, role } : { role });
    },
    print(result, text) {
      process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : `${text}\n`);
    },
  };
}

function overridesOf(options: GlobalOptions): Override[] {
  const overrides: Override[] = [];
  if (!options.wait) overrides.push({ path: ['wait'], value: false, from: '--no-wait' });
  if (options.logLevel) overrides.push({ path: ['logLevel'], value: options.logLevel, from: '--log-level' });
  return overrides;
}
