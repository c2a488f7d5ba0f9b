import { assertKnownNames } from '../util/assert-object.ts';

/** What Fastify takes where a plugin is registered; it hands all of it on to the plugin. */
const FASTIFYS: ReadonlySet<string> = new Set(['prefix', 'logLevel', 'logSerializers', 'encapsulate']);

/**
 * A misspelt token, hook or limit would be none, and let everybody in.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
 */
export function assertPluginOptions(plugin: string, options: object, names: readonly string[]): void {
  const ours = Object.entries(options).filter(([name]) => !FASTIFYS.has(name));
  assertKnownNames(`options of ${plugin}`, Object.fromEntries(ours), names);
}
