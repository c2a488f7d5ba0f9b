import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ModuleLoadError } from '../errors.ts';
import { ancestors } from './project.ts';

const TYPESCRIPT = /\.[cm]?tsx?$/;

/**
 * Imports a file of the user's project, TypeScript too. The file and this process share every module, `svc-comm` itself
 * first of all: what it registers is registered here.
 * @param root the project's folder: its tsconfig.json (or the nearest above) says which decorators are meant
 * @throws ModuleLoadError (SVC_COMM_MODULE_LOAD), the failure as its cause
 */
export async function importFile(file: string, root: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    if (TYPESCRIPT.test(file)) await registerTypeScript(root);
    return await whileAlive(import(pathToFileURL(file).href) as Promise<Record<string, unknown>>);
  } catch (error) {
    throw new ModuleLoadError(file, { cause: error });
  }
}

/**
 * Fails when nothing is left that could bring a module's own `await` to its end: Node would end the process with code 13,
 * and say nothing.
 */
function whileAlive<T>(loading: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new Error('it, or what it imports, awaits something that can never come'));
    process.once('beforeExit', giveUp);
    loading.finally(() => process.off('beforeExit', giveUp)).then(resolve, reject);
  });
}

/** The default export, through the wrapping that a CommonJS module gets when it was compiled from one. */
export function defaultExport(module: Readonly<Record<string, unknown>>): unknown {
  const value = module.default;
  return isCompiledModule(value) ? value.default : value;
}

function isCompiledModule(value: unknown): value is { readonly default: unknown } {
  return typeof value === 'object' && value !== null && '__esModule' in value && 'default' in value;
}

/** Node's options for what is loaded before the program; the value stands behind `=`, or is the next argument. */
const PRELOADS = /^(?:--import|--require|-r|--(?:experimental-)?loader)(?:=(.*))?$/;

/** The package, a part of it, or the path or URL that the command tsx gives: `…/tsx/dist/preflight.cjs`. */
const TSX = /^tsx(?:$|\/)|[\\/]tsx[\\/]dist[\\/](?:loader|preflight|esm|cjs)\b/;

/** Whether Node itself was started with tsx: `tsx …` or `node --import tsx …`. */
export function isRunThroughTsx(): boolean {
  const inVariable = process.env.NODE_OPTIONS?.match(/(?:[^\s"]|"[^"]*")+/g) ?? [];
  const options = [...process.execArgv, ...inVariable.map((option) => option.replaceAll('"', ''))];
  return options.some((option, index) => {
    const preloads = PRELOADS.exec(option);
    return preloads !== null && TSX.test(preloads[1] ?? options[index + 1] ?? '');
  });
}

let registered: Promise<void> | undefined;

/** Lets this process import TypeScript from now on; done once. */
export function registerTypeScript(root: string): Promise<void> {
  registered ??= isRunThroughTsx() ? Promise.resolve() : register(root);
  return registered;
}

/*
 * tsx's own tsImport gives every call a namespace, and with it a second svc-comm whose router stays empty: so register()
 * without one.
 */
async function register(root: string): Promise<void> {
  const [commonJs, esm] = await Promise.all([import('tsx/cjs/api'), import('tsx/esm/api')]);
  const tsconfig = ancestors(root)
    .map((folder) => join(folder, 'tsconfig.json'))
    .find((file) => existsSync(file));
  withVariable('TSX_TSCONFIG_PATH', tsconfig, () => commonJs.register());
  esm.register(tsconfig === undefined ? {} : { tsconfig });
}

/** tsx's require takes its tsconfig from a variable only; a child of this process must not inherit it. */
function withVariable(name: string, value: string | undefined, work: () => void): void {
  const isOurs = value !== undefined && process.env[name] === undefined;
  if (isOurs) process.env[name] = value;
  try {
    work();
  } finally {
    if (isOurs) delete process.env[name];
  }
}
