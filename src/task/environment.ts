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

/**
 * @param declared names of variables that it gets besides
 * @param variables what it gets in any case, instead of those of this process
 */
export function environmentOf(
  declared: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): NodeJS.ProcessEnv {
  const names = [...new Set<string>([...PLAIN_VARIABLES, ...declared])];
  const own = Object.fromEntries(names.map((name) => [name, process.env[name]]).filter(([, set]) => set !== undefined));
  const given = { ...own, ...variables };
  const hooks = given.NODE_OPTIONS === undefined ? plugNPlay() : undefined;
  return hooks === undefined ? given : { ...given, NODE_OPTIONS: hooks };
}

const PNP_HOOK = /--(?:require|import|loader|experimental-loader)[ =](?:"[^"]*\.pnp\.[^"]*"|\S*\.pnp\.\S+)/g;

/** Of NODE_OPTIONS what Yarn's Plug'n'Play puts there: without it a process cannot read packages, which are archives. */
const plugNPlay = (): string | undefined => process.env.NODE_OPTIONS?.match(PNP_HOOK)?.join(' ');
