import { PAGE_ASSETS, type PageAsset, pageAsset } from '../../documentation/assets.ts';
import { documentationPage } from '../../documentation/page/page.ts';
import type { ProcessRegistry } from '../../process/registry.ts';
import type { TaskRegistry } from '../../task/registry.ts';
import { functionPaths } from '../function-server/paths.ts';
import { ApiCollector } from '../openapi/collector.ts';
import { processPaths } from '../process-api/paths.ts';
import { DocumentationSource, type DocumentedParts } from './documentation.ts';

export interface StaticDocsParts extends DocumentedParts {
  readonly tasks: TaskRegistry;
  readonly processes: ProcessRegistry;
  /** Whether callers of the server have to say who they are. */
  readonly isSecured: boolean;
}

/**
 * The documentation as files for any web server or a folder: the page without forms, the messages, and the HTTP side of
 * tasks and processes; what else a server answers (`/health`, …) is in its own document. Nothing is connected to.
 * @returns content by file name
 */
export async function staticDocs(parts: StaticDocsParts): Promise<ReadonlyMap<string, string>> {
  const source = new DocumentationSource(parts);
  const api = apiOf(parts);
  const links = {
    openApi: 'openapi.json',
    asyncApi: 'asyncapi.json',
    reference: undefined,
    style: 'page.css',
    script: 'page.js',
  };
  const assets = Object.keys(PAGE_ASSETS) as PageAsset[];
  return new Map([
    ['index.html', documentationPage(await source.page({ links, tryOut: undefined }))],
    ['openapi.json', pretty(await api.document(source))],
    ['asyncapi.json', pretty(await source.asyncApi())],
    ...(await Promise.all(assets.map(async (name) => [name, await pageAsset(name)] as const))),
  ]);
}

function apiOf({ tasks, processes, isSecured }: StaticDocsParts): ApiCollector {
  const api = new ApiCollector();
  api.isSecured = isSecured;
  const { definitions } = tasks;
  const { descriptions } = processes;
  const hasTasks = definitions.length > 0;
  if (hasTasks) api.add({ prefix: '', of: 'tasks', paths: () => functionPaths(definitions) });
  if (descriptions.length > 0) {
    api.add({ prefix: '', of: 'processes', paths: () => processPaths(descriptions, { listsAll: !hasTasks }) });
  }
  return api;
}

const pretty = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;
