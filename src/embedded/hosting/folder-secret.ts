import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../util/thrown.ts';

const FILE = 'secret';

/**
 * The password of the servers of a folder, made by whoever comes first. All processes of the folder know it, and a
 * server that has come to listen on the same port is not theirs: another project's refuses them.
 */
export async function folderSecret(folder: string): Promise<string> {
  const file = join(folder, FILE);
  const found = await read(file);
  if (found !== undefined) return found;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // Whole or not there, and never another's: a link to a finished file fails when there is one by that name.
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const secret = randomBytes(18).toString('base64url');
  await writeFile(draft, secret, { mode: 0o600 });
  try {
    await link(draft, file);
    return secret;
  } catch (error) {
    const other = await read(file);
    if (other === undefined) throw error;
    return other;
  } finally {
    await rm(draft, { force: true });
  }
}

async function read(file: string): Promise<string | undefined> {
  try {
    const secret = await readFile(file, 'utf8');
    // A machine that lost its power may leave that. Processes that run may know what it was.
    if (secret === '') throw new Error(`${file} is empty: stop the processes of the project and delete it`);
    return secret;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
