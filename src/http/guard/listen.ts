import type { Server } from 'node:net';
import { OpenAddressError } from '../../errors.ts';
import { isLoopback } from '../../util/is-loopback.ts';

const guarded = new WeakSet<object>();

/**
 * Makes a server refuse to listen where others than this machine can reach it. Whoever registers a plugin of ours calls
 * `listen` on a server of their own, later: so it is said to the server itself.
 */
export function refuseOpenAddress(server: Pick<Server, 'listen' | 'emit'>): void {
  if (guarded.has(server)) return;
  guarded.add(server);
  const listen = server.listen.bind(server) as (...args: unknown[]) => Server;
  server.listen = (...args: unknown[]) => {
    const address = openAddress(args);
    if (address === undefined) return listen(...args);
    // As node tells of an address that it cannot listen on: those who wait for the start hear of it.
    process.nextTick(() => server.emit('error', new OpenAddressError(address)));
    return server as Server;
  };
}

/** The address that others could reach; undefined when there is none. */
function openAddress([first, second]: readonly unknown[]): string | undefined {
  const options = typeof first === 'object' && first !== null ? (first as Record<string, unknown>) : undefined;
  if (options?.path !== undefined || options?.fd !== undefined) return undefined;
  if (typeof first === 'string' && !/^\d+$/.test(first)) return undefined;
  const host = options ? options.host : second;
  if (typeof host !== 'string' || host === '') return 'every address';
  return isLoopback(host) ? undefined : host;
}
