import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

/** `--env-file=FILE` or `--env-file FILE`; later files override earlier ones. */
const OPTION = /^--env-file(?:-if-exists)?(?:=(?<file>.*))?$/s;

/**
 * The environment without what Node read into it from the files of `--env-file`, by what is in them now. Node lets no file
 * override a variable that is set: a process that gets these from here has them for good, whatever becomes of the file.
 * A variable that was set to the same value before cannot be told from one of a file.
 * @param nodeArguments those of this process (`process.execArgv`)
 */
export function withoutEnvFiles(environment: NodeJS.ProcessEnv, nodeArguments: readonly string[]): NodeJS.ProcessEnv {
  const read = Object.assign({}, ...envFiles(nodeArguments).map(variablesIn)) as NodeJS.Dict<string>;
  const isOfFile = ([name, value]: readonly [string, string | undefined]) =>
    Object.hasOwn(read, name) && read[name] === value;
  return Object.fromEntries(Object.entries(environment).filter((variable) => !isOfFile(variable)));
}

function envFiles(nodeArguments: readonly string[]): string[] {
  return nodeArguments.flatMap((argument, n) => {
    const match = OPTION.exec(argument);
    const file = match && (match.groups?.file ?? nodeArguments[n + 1]);
    return file ? [file] : [];
  });
}

function variablesIn(file: string): NodeJS.Dict<string> {
  try {
    return parseEnv(readFileSync(file, 'utf8'));
  } catch {
    return {}; // --env-file-if-exists, or it has gone since
  }
}
