/** What every process gets; nothing else of ours, and no secret. */
const PLAIN_VARIABLES = [
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'LC_CTYPE',
  'TZ',
  'TMPDIR',
  'NODE_ENV',
  'NODE_EXTRA_CA_CERTS',
] as const;

/** @param declared names of variables that it gets besides */
export function environmentOf(declared: readonly string[]): NodeJS.ProcessEnv {
  const names = new Set<string>([...PLAIN_VARIABLES, ...declared]);
  return Object.fromEntries([...names].flatMap((name) => (name in process.env ? [[name, process.env[name]]] : [])));
}
