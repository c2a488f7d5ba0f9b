import { basename, dirname } from 'node:path';
import { EmbeddedStateError, SvcCommError } from '../../errors.ts';
import type { Logger } from '../../lifecycle/logger.ts';
import { messageOf } from '../../util/thrown.ts';
import { HostLock } from '../hosting/host-lock.ts';
import type { Binding } from './binding.ts';
import { ByteWriter } from './byte-writer.ts';
import type { Exchange } from './exchange.ts';
import { JournalFile } from './journal-file.ts';
import { type JournalRecord, readRecords, writeRecord } from './journal-records.ts';
import { isKeptBinding, isKeptMessage, isOwn, KeptState, recordOf, recordsOf } from './kept-state.ts';
import type { Queue } from './queue.ts';
import type { QueuedMessage } from './queued-message.ts';
import type { StateChanges } from './state-changes.ts';
import type { Unacked } from './unacked-messages.ts';
import type { VirtualHost } from './virtual-host.ts';

const BLOCK_BYTES = 1024 * 1024;
/** The journal is written anew when it is twice as long as what it comes to, and longer than this. */
const SMALL_BYTES = 32 * 1024 * 1024;

export interface JournalOptions {
  readonly path: string;
  /** The state that the journal comes to. */
  readonly state: () => { readonly vhost: VirtualHost; readonly unacked: Iterable<Unacked> };
  /** How much that is in memory, in bytes. */
  readonly heldBytes: () => number;
  readonly logger: Logger;
  /** It cannot be written any more: what clients do from now on would not be kept. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * Keeps durable exchanges, queues and bindings, persistent messages, and all messages of quorum queues: every change is
 * noted, and `flush` writes what was noted before any client hears of it. So whatever was confirmed, declared or
 * acknowledged is kept, however the process ends.
 */
export class Journal implements StateChanges {
  readonly #options: JournalOptions;
  readonly #file: JournalFile;
  readonly #writer = new ByteWriter(64 * 1024);
  readonly #numbers = new Map<Queue, number>();
  #lock: HostLock | undefined;
  #lastNumber = 0;
  #isOpen = false;
  #isScheduled = false;
  #isRewriting = false;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#file = new JournalFile(options.path);
  }

  /**
   * Puts what is kept into an empty virtual host, and begins to note its changes.
   * @throws SettingsError (SVC_COMM_SETTINGS) when the file is no journal: it is never overwritten then;
   *   EmbeddedStateError (SVC_COMM_EMBEDDED_STATE) when it cannot be read or written, or another broker writes it
   * @param signal ends the wait for who may write it and cannot be seen from here
   */
  async open(vhost: VirtualHost, signal: AbortSignal): Promise<void> {
    try {
      await this.#file.assertJournal();
      this.#lock = await this.#take(signal);
      await this.#open(vhost);
    } catch (cause) {
      await this.#release();
      if (cause instanceof SvcCommError) throw cause;
      const why = messageOf(cause);
      throw new EmbeddedStateError('broker', this.#options.path, why, { cause });
    }
  }

  /** Two that write one file anew in turn would each lose what the other was told. */
  async #take(signal: AbortSignal): Promise<HostLock> {
    const { path } = this.#options;
    const taken = await HostLock.takeWhenKnown(dirname(path), basename(path), signal);
    if (taken.kind === 'taken') return taken.lock;
    throw new Error(`process ${taken.record.pid} keeps its state in it`);
  }

  async #release(): Promise<void> {
    const lock = this.#lock;
    this.#lock = undefined;
    await lock?.release(undefined).catch(() => undefined);
  }

  async #open(vhost: VirtualHost): Promise<void> {
    const kept = new KeptState();
    const { path, logger } = this.#options;
    const { blocks, tornBytes } = await this.#file.read();
    for (const block of blocks) for (const record of readRecords(block)) kept.apply(record);
    if (tornBytes > 0) {
      const fields = { file: path, bytes: tornBytes, kept: await this.#file.setAside() };
      logger.warn(fields, 'embedded broker: the end of the state file cannot be read; the file as it was is kept');
    }
    kept.restore(vhost);
    this.#rewrite();
    this.#isOpen = true;
  }

  /**
   * Writes what was noted.
   * @returns false when it cannot be kept: then nothing may be said of it
   */
  flush(): boolean {
    if (this.#writer.length === 0) return true;
    if (!this.#isOpen) return false;
    return this.#write(() => {
      this.#file.append(this.#writer.take());
      if (this.#isOutgrown) this.#rewriteSoon();
    });
  }

  #write(work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      this.abandon();
      this.#options.onFailure(error);
      return false;
    }
  }

  get #isOutgrown(): boolean {
    return this.#file.bytes > SMALL_BYTES && this.#file.bytes > 2 * this.#options.heldBytes();
  }

  /**
   * Not at once: whoever flushes may have messages in hand (those that a connection which goes gives back, those that a
   * client settles), which are in no queue and on no channel at that moment.
   */
  #rewriteSoon(): void {
    if (this.#isRewriting) return;
    this.#isRewriting = true;
    setImmediate(() => {
      this.#isRewriting = false;
      if (!this.#isOpen) return;
      this.#write(() => {
        this.#file.assertInPlace();
        this.#rewrite();
      });
    });
  }

  /** Writes the state of the end, as short as it can be, and leaves the file to others. */
  async close(): Promise<void> {
    try {
      if (this.#isOpen && this.#file.isInPlace) this.#rewrite();
    } finally {
      this.abandon();
      await this.#release();
    }
  }

  /** Leaves the file as it is. */
  abandon(): void {
    this.#isOpen = false;
    this.#file.close();
  }

  exchangeAdded({ definition }: Exchange): void {
    if (definition.isDurable && isOwn(definition.name)) this.#note({ kind: 'exchange', exchange: definition });
  }
  exchangeDeleted({ definition: { isDurable, name } }: Exchange): void {
    if (isDurable) this.#note({ kind: 'exchange-deleted', name });
  }
  queueAdded(queue: Queue): void {
    const { isDurable, name, isAutoDelete, arguments: args } = queue.definition;
    if (!isDurable) return;
    this.#note({ kind: 'queue', queue: { queue: this.#numberOf(queue), name, isAutoDelete, arguments: args } });
  }
  queueDeleted(queue: Queue): void {
    if (!queue.definition.isDurable) return;
    this.#note({ kind: 'queue-deleted', queue: this.#numberOf(queue) });
    this.#numbers.delete(queue);
  }
  bound(binding: Binding): void {
    if (isKeptBinding(binding)) this.#note({ kind: 'bound', binding: recordOf(binding) });
  }
  unbound(binding: Binding): void {
    if (isKeptBinding(binding)) this.#note({ kind: 'unbound', binding: recordOf(binding) });
  }
  came(queue: Queue, entry: QueuedMessage): void {
    if (!isKeptMessage(queue, entry)) return;
    this.#note({ kind: 'message', entry: { queue: this.#numberOf(queue), ...entry } });
  }
  delivered(queue: Queue, entry: QueuedMessage): void {
    if (isKeptMessage(queue, entry)) this.#note({ kind: 'delivered', queue: this.#numberOf(queue), id: entry.id });
  }
  left(queue: Queue, entry: QueuedMessage): void {
    if (isKeptMessage(queue, entry)) this.#note({ kind: 'left', queue: this.#numberOf(queue), id: entry.id });
  }

  #numberOf(queue: Queue): number {
    const known = this.#numbers.get(queue);
    if (known !== undefined) return known;
    this.#lastNumber += 1;
    this.#numbers.set(queue, this.#lastNumber);
    return this.#lastNumber;
  }

  #note(record: JournalRecord): void {
    if (!this.#isOpen) return;
    writeRecord(this.#writer, record);
    if (this.#isScheduled) return;
    // For what nobody is told of.
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.flush();
    });
  }

  #rewrite(): void {
    const { vhost, unacked } = this.#options.state();
    this.#writer.take();
    this.#file.replace(this.#blocks(recordsOf(vhost, unacked, (queue) => this.#numberOf(queue))));
  }

  *#blocks(records: Iterable<JournalRecord>): Generator<Buffer> {
    const writer = new ByteWriter(64 * 1024);
    for (const record of records) {
      writeRecord(writer, record);
      if (writer.length > BLOCK_BYTES) yield writer.take();
    }
    if (writer.length > 0) yield writer.take();
  }
}
