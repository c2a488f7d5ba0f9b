import type { BigIntStats } from 'node:fs';
import { closeSync, constants, fstatSync, fsyncSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { copyFile, open, readFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { SettingsError } from '../../errors.ts';

const HEADER = Buffer.from('svc-comm embedded broker, journal 1\n');
/** Length and checksum before each block. */
const BLOCK_HEAD_BYTES = 8;

/**
 * A file of blocks, each written by one call and read whole or not at all: what the process was writing when it was
 * killed ends the file. Writing is handing over to the operating system: a killed process loses nothing of it, a machine
 * that loses its power may.
 */
export class JournalFile {
  readonly path: string;
  #descriptor: number | undefined;
  /** Which file that is, whatever its name. */
  #identity = '';
  #bytes = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** Size of the file. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether what was written is what stands under the name. */
  get isInPlace(): boolean {
    const found = statSync(this.path, { bigint: true, throwIfNoEntry: false });
    return found !== undefined && identityOf(found) === this.#identity;
  }

  /**
   * Nothing is made beside somebody else's file.
   * @throws SettingsError (SVC_COMM_SETTINGS) when there is a file, and it is no journal
   */
  async assertJournal(): Promise<void> {
    const file = await open(this.path).catch(unlessMissing);
    if (!file) return;
    try {
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(HEADER.length), position: 0 });
      if (!buffer.subarray(0, bytesRead).equals(HEADER)) throw noJournal(this.path);
    } finally {
      await file.close();
    }
  }

  /**
   * Every whole block, up to the first that is not, and how many bytes are left then.
   * @throws SettingsError (SVC_COMM_SETTINGS) when the file is no journal: it is never overwritten then
   */
  async read(): Promise<{ readonly blocks: readonly Buffer[]; readonly tornBytes: number }> {
    const content = await readFile(this.path).catch(unlessMissing);
    if (content === undefined) return { blocks: [], tornBytes: 0 };
    if (!content.subarray(0, HEADER.length).equals(HEADER)) throw noJournal(this.path);
    const blocks: Buffer[] = [];
    let at = HEADER.length;
    while (at + BLOCK_HEAD_BYTES <= content.length) {
      const start = at + BLOCK_HEAD_BYTES;
      const block = content.subarray(start, start + content.readUInt32BE(at));
      if (block.length < content.readUInt32BE(at) || crc32(block) !== content.readUInt32BE(at + 4)) break;
      blocks.push(block);
      at = start + block.length;
    }
    return { blocks, tornBytes: content.length - at };
  }

  /**
   * Keeps the file as it is under another name. A kill cuts the last block at most, of which nobody was told; a disk may
   * have damaged any, and what stands behind it was promised.
   * @returns the name
   */
  async setAside(): Promise<string> {
    const copy = `${this.path}.damaged-${Date.now()}`;
    await copyFile(this.path, copy, constants.COPYFILE_FICLONE);
    return copy;
  }

  /**
   * Adds a block at the end. Synchronous: nothing that depends on it can come before it.
   * @throws when another file has come in its place, or none is there: nobody would read what is written
   */
  append(block: Buffer): void {
    if (this.#descriptor === undefined) throw new Error('the journal is not open');
    this.assertInPlace();
    this.#write(this.#descriptor, block);
  }

  /** @throws when another file has come in its place, or none is there */
  assertInPlace(): void {
    if (!this.isInPlace) throw new Error(`${this.path} was removed or replaced`);
  }

  /** Puts a file with these blocks in place of the one that is there; the one or the other is whole at any time. */
  replace(blocks: Iterable<Buffer>): void {
    // One name, so that whoever comes after a kill writes over what it left.
    const draft = `${this.path}.tmp`;
    const descriptor = openSync(draft, 'w', 0o600);
    this.#bytes = writeWhole(descriptor, HEADER);
    for (const block of blocks) this.#write(descriptor, block);
    fsyncSync(descriptor);
    renameSync(draft, this.path);
    this.close();
    this.#descriptor = descriptor;
    this.#identity = identityOf(fstatSync(descriptor, { bigint: true }));
  }

  close(): void {
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    if (descriptor === undefined) return;
    try {
      closeSync(descriptor);
    } catch {
      // A file that cannot be written may not be closed either: what was appended was reported then.
    }
  }

  #write(descriptor: number, block: Buffer): void {
    const head = Buffer.allocUnsafe(BLOCK_HEAD_BYTES);
    head.writeUInt32BE(block.length);
    head.writeUInt32BE(crc32(block), 4);
    this.#bytes += writeWhole(descriptor, Buffer.concat([head, block]));
  }
}

function writeWhole(descriptor: number, bytes: Buffer): number {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
  return bytes.length;
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

const identityOf = ({ dev, ino }: BigIntStats): string => `${dev}:${ino}`;

const noJournal = (path: string): SettingsError =>
  new SettingsError([
    {
      setting: 'stateFile',
      expected: 'a journal of this version of the embedded broker; move the file away to start empty',
      got: path,
      from: 'options',
    },
  ]);
