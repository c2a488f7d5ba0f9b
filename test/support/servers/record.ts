import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';

/** What `npm run test:servers` writes for the `npm test` that follows. */
export interface ServerRecord {
  readonly kind: 'environment' | 'localhost' | 'docker' | 'binaries';
  readonly url: string;
  /** Folder of a server from binaries. */
  readonly home?: string;
  /** Id of a server in Docker. */
  readonly container?: string;
}

export interface ServersRecord {
  readonly broker?: ServerRecord;
  readonly database?: ServerRecord;
}

const folder = new URL('../../../.test-servers/', import.meta.url);
const file = new URL('servers.json', folder);

export async function readRecord(): Promise<ServersRecord | undefined> {
  const content = await readFile(file, 'utf8').catch(() => undefined);
  return content === undefined ? undefined : JSON.parse(content);
}

export async function writeRecord(record: ServersRecord): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(file, `${JSON.stringify(record, null, 2)}\n`);
}

export async function removeRecord(): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}
