/**
 * What a `dev*` command and its child say to each other.
 * - `go`, to the child: load the project and run.
 * - `watch`, from the child: it loads files from these folders.
 * - `started`, from the child: it runs.
 */
export type DevMessage =
  | { readonly kind: 'go' }
  | { readonly kind: 'watch'; readonly paths: readonly string[] }
  | { readonly kind: 'started' };

export function isDevMessage(message: unknown): message is DevMessage {
  if (typeof message !== 'object' || message === null || !('kind' in message)) return false;
  return message.kind === 'go' || message.kind === 'started' || (message.kind === 'watch' && 'paths' in message);
}
