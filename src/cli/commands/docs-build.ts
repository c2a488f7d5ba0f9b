import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UsageError } from '../../errors.ts';
import { messageOf } from '../../util/thrown.ts';
import type { CommandContext } from '../context.ts';

/**
 * Writes the documentation of the project into a folder; connects to nothing.
 * @throws UsageError (SVC_COMM_USAGE) when there can be no such folder
 */
export async function docsBuild(context: CommandContext, folder: string): Promise<0 | 1> {
  const settings = await context.loadSettings();
  const { loadProject } = await import('../project.ts');
  const { staticDocs } = await import('../../http/docs/static-docs.ts');
  const { packageVersion } = await import('../../settings/project.ts');
  const { exchangeTypes } = await import('../../settings/parts.ts');
  const { taskRegistry, processRegistry, messageRouter } = await loadProject(settings);
  const files = await staticDocs({
    title: settings.appId,
    version: packageVersion(settings.root),
    tasks: taskRegistry,
    processes: processRegistry,
    messageRouter,
    brokerUrls: settings.brokerUrls,
    exchangeTypes: exchangeTypes(settings),
    tests: { root: settings.root, tests: settings.tests },
    isSecured: settings.http.token !== undefined,
  });
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    const why = messageOf(error);
    throw new UsageError(`${JSON.stringify(folder)} cannot be a folder: ${why}`, { cause: error });
  });
  for (const [name, content] of files) await writeFile(join(folder, name), content);
  const names = [...files.keys()];
  context.print({ folder: resolve(folder), files: names }, `${names.map((name) => join(folder, name)).join('\n')}`);
  return 0;
}
