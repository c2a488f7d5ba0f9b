import { createService, type SvcCommService } from './assemble.ts';
import { messageRouter } from './router/default-router.ts';
import { loadSettings } from './settings/load.ts';

export { messageRouter };

let current: Promise<SvcCommService> | undefined;
/** What `current` resolves to, once it has. */
let known: SvcCommService | undefined;
/** The one that was put in the place of one of our own: whoever started it ends it. */
let lent: SvcCommService | undefined;

/** The service behind the package's functions, built on first use from the project's settings. */
export function defaultService(): Promise<SvcCommService> {
  if (current) return current;
  const made = loadSettings()
    .then((settings) => {
      const service = createService(settings, { messageRouter });
      // Another may have been put in its place meanwhile.
      if (current === made) known = service;
      return service;
    })
    .catch((error: unknown) => {
      if (current === made) current = undefined;
      throw error;
    });
  current = made;
  return made;
}

/**
 * Hands something to the service behind the package's functions: at once, when there is one.
 * @param kept what it is at this moment, when the settings are to be read first
 */
export async function handOver<Given, T>(
  given: Given,
  kept: (given: Given) => Given,
  work: (service: SvcCommService, given: Given) => Promise<T>,
): Promise<T> {
  if (known) return work(known, given);
  const asGiven = kept(given);
  return work(await defaultService(), asGiven);
}

/** Makes this the service behind the package's functions: the command line's own, so that handlers publish in its transactions. */
export function useAsDefault(service: SvcCommService): void {
  current = Promise.resolve(service);
  known = service;
  lent = service;
}

/** Takes it from behind the package's functions, if it is still there: the next use builds one from the settings. */
export function leaveDefault(service: SvcCommService): void {
  if (lent !== service) return;
  current = undefined;
  known = undefined;
  lent = undefined;
}

/**
 * Closes the default service's connections, if it has any; the next use builds a new one. One of the command line's or of
 * a test stays, so that scripts which end so can be run in them.
 */
export async function close(): Promise<void> {
  if (lent) return;
  const closing = current;
  current = undefined;
  known = undefined;
  await (await closing)?.close();
}
