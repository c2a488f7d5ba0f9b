import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { type SettingProblem, SettingsError } from '../errors.ts';
import { isError, messageOf } from '../util/thrown.ts';
import { CONFIG_FILES, OTHER_CONFIG_FILES } from './config-files.ts';
import type { Settings } from './define.ts';
import { readEnvironment } from './environment.ts';
import { CONFIG_VARIABLE } from './environment-names.ts';
import { defaultExport, importFile } from './import-file.ts';
import { describeRefused, maskText } from './mask.ts';
import { isGroup, type Override, overridesOf } from './override.ts';
import { ancestors, parseJsonFile, projectRoot } from './project.ts';
import { resolveSettings } from './resolve.ts';
import type { ResolvedSettings } from './resolved.ts';

export interface LoadOptions {
  /** Where the search for a settings file starts. @default the working directory */
  readonly cwd?: string;
  /** The settings file (`--config`). @default SVC_COMM_CONFIG, else the nearest up to the package.json's folder */
  readonly configFile?: string | undefined;
  /** @default process.env */
  readonly environment?: NodeJS.ProcessEnv;
  /** Command-line options; they win over file and environment. */
  readonly options?: readonly Override[];
  /** What settings are that are set nowhere, instead of their own defaults. */
  readonly defaults?: Settings | undefined;
  /** What settings are, whatever file and environment say; of a group, the parts that are given. */
  readonly overrides?: Settings | undefined;
}

/**
 * The settings of the project: its settings file (none: defaults), environment variables over it, options over both, and
 * `overrides` over all.
 * @throws SettingsError (SVC_COMM_SETTINGS) with every problem found
 */
export async function loadSettings(options: LoadOptions = {}): Promise<ResolvedSettings> {
  const { cwd = process.cwd(), environment = process.env } = options;
  const file = configFileOf(options, cwd, environment);
  const root = projectRoot(file === undefined ? cwd : dirname(file));
  const from = file === undefined ? `defaults: no settings file in ${root}` : relative(cwd, file) || file;
  const given = file === undefined ? {} : await readSettingsFile(file, root, from);
  return resolveSettings(withDefaults(given, options.defaults), {
    from,
    root,
    environment: readEnvironment(environment),
    options: [...(options.options ?? []), ...overridesOf(options.overrides ?? {}, "loadSettings' overrides")],
  });
}

/** A group that is set in parts has the rest of its defaults. */
function withDefaults(given: Settings, defaults: Settings = {}): Settings {
  const groups = Object.entries(defaults).map(([name, value]) => {
    const own: unknown = given[name as keyof Settings];
    return [name, isGroup(value) && isGroup(own) ? { ...value, ...own } : (own ?? value)];
  });
  return { ...given, ...Object.fromEntries(groups) };
}

/**
 * The settings file from `cwd` upwards to the folder that holds package.json; undefined when there is none.
 * @throws SettingsError (SVC_COMM_SETTINGS) for one in a form that is not read
 */
export function findConfigFile(cwd: string): string | undefined {
  for (const folder of ancestors(cwd)) {
    const present = (names: readonly string[]) => names.map((name) => join(folder, name)).find(existsSync);
    const found = present(CONFIG_FILES);
    if (found !== undefined) return found;
    const other = present(OTHER_CONFIG_FILES);
    if (other !== undefined) {
      throw fileError({
        setting: 'settings file',
        expected: `one of ${CONFIG_FILES.join(', ')}`,
        got: other,
        from: 'its name',
      });
    }
    if (existsSync(join(folder, 'package.json'))) return undefined;
  }
  return undefined;
}

function configFileOf({ configFile }: LoadOptions, cwd: string, environment: NodeJS.ProcessEnv): string | undefined {
  const named = configFile ?? environment[CONFIG_VARIABLE];
  if (named === undefined) return findConfigFile(cwd);
  const file = resolve(cwd, named);
  if (existsSync(file)) return file;
  throw fileError({
    setting: 'settings file',
    expected: 'an existing file',
    got: file,
    from: configFile === undefined ? CONFIG_VARIABLE : '--config',
  });
}

async function readSettingsFile(file: string, root: string, from: string): Promise<Settings> {
  const content = await contentOf(file, root).catch((error: unknown) => {
    const cause = isError(error) && isError(error.cause) ? error.cause : error;
    const got = maskText(messageOf(cause));
    throw fileError({ setting: 'settings file', expected: 'a file that loads', got, from }, { cause });
  });
  if (typeof content === 'object' && content !== null && !Array.isArray(content)) return content;
  const expected = 'a default export, defineConfig({ … })';
  throw fileError({ setting: 'settings file', expected, got: describeRefused([], content), from });
}

async function contentOf(file: string, root: string): Promise<unknown> {
  if (file.endsWith('.json')) return parseJsonFile(await readFile(file, 'utf8'));
  return defaultExport(await importFile(file, root));
}

const fileError = (problem: SettingProblem, options?: ErrorOptions) => new SettingsError([problem], options);
