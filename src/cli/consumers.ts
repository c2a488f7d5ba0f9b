import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { glob } from 'tinyglobby';
import { InvalidConsumerError, NoConsumersError, UnregisteredConsumerError } from '../errors.ts';
import { consumerElsewhere } from '../router/default-router.ts';
import type { MessageRouter } from '../router/router.ts';
import { DEFAULT_CONSUMER_GLOBS } from '../settings/defaults.ts';
import { defaultExport, importFile, isRunThroughTsx } from '../settings/import-file.ts';
import type { ResolvedSettings } from '../settings/resolved.ts';
import { HAVE_ONE } from '../util/other-copies.ts';
import { ownFile } from '../util/own-files.ts';

export interface ConsumerSearch {
  /** Look for sources although there is a build: a `dev*` command, which runs what is being edited. */
  readonly preferSources: boolean;
}

/** The globs of the setting, else of the build when there is one, else of the sources. */
export function consumerGlobs(settings: ResolvedSettings, { preferSources }: ConsumerSearch): readonly string[] {
  if (settings.consumers) return settings.consumers;
  const hasBuild = !preferSources && !isRunThroughTsx() && existsSync(join(settings.root, 'dist'));
  return hasBuild ? DEFAULT_CONSUMER_GLOBS.built : DEFAULT_CONSUMER_GLOBS.sources;
}

/**
 * The router with every consumer of the project on it.
 * @throws NoConsumersError (SVC_COMM_NO_CONSUMERS), ModuleLoadError (SVC_COMM_MODULE_LOAD),
 * UnregisteredConsumerError (SVC_COMM_UNREGISTERED_CONSUMER), InvalidConsumerError (SVC_COMM_INVALID_CONSUMER) when one is
 * registered with another copy of this package
 */
export async function loadRouter(settings: ResolvedSettings, search: ConsumerSearch): Promise<MessageRouter> {
  const globs = consumerGlobs(settings, search);
  const lookedIn = globs.map((pattern) => join(relative(process.cwd(), settings.root), pattern));
  const files = await findFiles(settings.root, globs);
  if (files.length === 0) throw new NoConsumersError(lookedIn, 'no file with consumers was found');
  // The package's own entry, as the project's files import it: what they register is registered on this router.
  const { messageRouter } = await import('../index.ts');
  const modules: object[] = [];
  // One after the other, in one order everywhere: a clash of two files is always reported the same way round.
  for (const file of files) {
    const module = await importFile(file, settings.root);
    const wrapped = defaultExport(module);
    modules.push(module, ...(typeof wrapped === 'object' && wrapped !== null ? [wrapped] : []));
  }
  const unregistered = messageRouter.unregistered(modules);
  if (unregistered.length > 0) throw new UnregisteredConsumerError(unregistered);
  if (messageRouter.routes.length === 0) throw new NoConsumersError(lookedIn, whyNothing(settings.root));
  assertNoneElsewhere();
  return messageRouter;
}

/** Their messages would come and be acked without them, or not come at all. */
function assertNoneElsewhere(): void {
  const found = consumerElsewhere();
  if (!found) return;
  const where = fileURLToPath(found.url);
  throw new InvalidConsumerError(
    found.name,
    `it is registered with another copy of svc-comm, ${where}, and this process runs another: ${HAVE_ONE}`,
  );
}

async function findFiles(root: string, globs: readonly string[]): Promise<string[]> {
  const ignore = ['**/node_modules/**', '**/*.d.ts', '**/*.d.mts'];
  const files = await glob([...globs], { cwd: root, absolute: true, ignore });
  return files.toSorted();
}

function whyNothing(root: string): string {
  const other = otherCopy(root);
  if (other === undefined) return 'the files that were found register no consumer';
  return `the files that were found import another copy of svc-comm, ${other}: run that one, with npx svc-comm`;
}

/** The svc-comm that the project's files import, when it is not the one that runs. */
function otherCopy(root: string): string | undefined {
  try {
    const theirs = createRequire(join(root, 'package.json')).resolve('svc-comm');
    const ours = ownFile('src/index');
    // What `require` is given stands beside what `import` is.
    return theirs.replace(/\.cjs$/, '.js') === ours ? undefined : theirs;
  } catch {
    return undefined;
  }
}
