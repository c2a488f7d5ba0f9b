import { dirname, resolve } from 'node:path';
import { registerTypeScript } from '../../settings/import-file.ts';
import { projectRoot } from '../../settings/project.ts';
import type { ResolvedSettings } from '../../settings/resolved.ts';
import type { GlobalOptions } from '../context.ts';
import { type DevMessage, isDevMessage } from './messages.ts';

/** In a process that was forked by a `dev*` command. */

const ORPHAN_GRACE_MS = 2_000;

/**
 * Loads what every run needs while the run before is still at work, and resolves when it is this one's turn. From now on
 * the process ends when its parent is gone, however that went.
 */
export async function waitForTurn({ config }: GlobalOptions): Promise<void> {
  const isOurTurn = new Promise<void>((resolve) => {
    process.on('message', (message) => {
      if (isDevMessage(message) && message.kind === 'go') resolve();
    });
  });
  process.once('disconnect', endWithoutParent);
  if (!process.connected) endWithoutParent();
  await Promise.all([import('../../assemble.ts'), import('../consumers.ts'), import('../../settings/load.ts')]);
  const root = projectRoot(config === undefined ? process.cwd() : dirname(resolve(config)));
  // What fails here fails again, and is reported, when the first TypeScript file is imported.
  await registerTypeScript(root).catch(() => undefined);
  tell({ kind: 'waiting' });
  await isOurTurn;
}

/** Asks the parent to serve what is embedded: it outlives every restart of this process. */
export function askToServe({ root, brokerUrls, databaseUrl }: ResolvedSettings): void {
  const servers = [
    ...(brokerUrls[0] === 'embedded:' ? (['broker'] as const) : []),
    ...(databaseUrl === 'embedded:' ? (['database'] as const) : []),
  ];
  if (servers.length > 0) tell({ kind: 'serve', root, servers });
}

/** Names the folders that files are loaded from. */
export const tellWatched = (paths: readonly string[]): void => tell({ kind: 'watch', paths });

export const tellStarted = (): void => tell({ kind: 'started' });

const tell = (message: DevMessage): void => void process.send?.(message);

function endWithoutParent(): void {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.exit(1), ORPHAN_GRACE_MS).unref();
}
