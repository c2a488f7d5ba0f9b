/** From the child to its parent: folders and files to watch besides the usual ones. */
export interface WatchMessage {
  readonly watch: readonly string[];
}

export function isWatchMessage(message: unknown): message is WatchMessage {
  return typeof message === 'object' && message !== null && 'watch' in message && Array.isArray(message.watch);
}

/** In a child of a `dev*` command: tells what to watch, and ends when the parent is gone, however it went. */
export function followParent(watch: readonly string[]): void {
  process.send?.({ watch } satisfies WatchMessage);
  if (process.connected) process.once('disconnect', endWithoutParent);
  else endWithoutParent();
}

const ORPHAN_GRACE_MS = 2_000;

function endWithoutParent(): void {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.exit(1), ORPHAN_GRACE_MS).unref();
}
