import { createService, type SvcCommService } from './assemble.ts';
import { MessageRouter } from './router/router.ts';
import { loadSettings } from './settings/load.ts';

/** Records the consumers of this process. Asks for no settings: files that use it can be imported anywhere. */
export const messageRouter = new MessageRouter();

let current: Promise<SvcCommService> | undefined;

/** The service behind the package's functions, built on first use from the project's settings. */
export function defaultService(): Promise<SvcCommService> {
  current ??= loadSettings()
    .then((settings) => createService(settings, { messageRouter }))
    .catch((error: unknown) => {
      current = undefined;
      throw error;
    });
  return current;
}

/** Makes this the service behind the package's functions: the command line's own, so that handlers publish in its transactions. */
export function useAsDefault(service: SvcCommService): void {
  current = Promise.resolve(service);
}

/** Takes it from behind the package's functions, if it is still there: the next use builds one from the settings. */
export async function leaveDefault(service: SvcCommService): Promise<void> {
  const used = current;
  if ((await used) === service && current === used) current = undefined;
}

/** Closes the default service's connections, if it has any; the next use builds a new one. */
export async function close(): Promise<void> {
  const closing = current;
  current = undefined;
  await (await closing)?.close();
}
