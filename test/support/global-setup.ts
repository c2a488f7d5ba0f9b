import { findServers } from './servers/find-servers.ts';

/** For the projects that need servers. Workers are forked afterwards and inherit the variables. */
export default async function setup(): Promise<() => Promise<void>> {
  const servers = await findServers();
  return () => servers.remove();
}
