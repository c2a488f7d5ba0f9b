import type { EmbeddedKind } from './parent-servers.ts';

/**
 * What a `dev*` command and its child say to each other.
 * - `waiting`, from the child: it has loaded all but the project.
 * - `go`, to the child: load the project and run.
 * - `serve`, from the child: it needs these embedded servers, and must not be the one that serves them.
 * - `watch`, from the child: it loads files from these folders.
 * - `started`, from the child: it runs.
 */
export type DevMessage =
  | { readonly kind: 'go' }
  | { readonly kind: 'watch'; readonly paths: readonly string[] }
  | { readonly kind: 'serve'; readonly root: string; readonly servers: readonly EmbeddedKind[] }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'started' };

export function isDevMessage(message: unknown): message is DevMessage {
  if (typeof message !== 'object' || message === null || !('kind' in message)) return false;
  if (message.kind === 'serve') return 'root' in message && 'servers' in message;
  if (message.kind === 'watch') return 'paths' in message;
  return message.kind === 'go' || message.kind === 'waiting' || message.kind === 'started';
}
