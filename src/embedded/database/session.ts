import type { Socket } from 'node:net';
import { type Backend, BackendHeld, HELD_LIMIT_MS } from './backend.ts';
import { errorResponse, message, notification, READY_IDLE, readNotification } from './backend-messages.ts';
import { Channels } from './channels.ts';
import { copyInAnswer, NO_ROWS } from './copy-in.ts';
import { Greeting } from './greeting.ts';
import { HEAD_BYTES, MalformedMessage, MessageSplitter, type WireMessage } from './message-splitter.ts';
import { SessionLeftovers } from './session-leftovers.ts';
import { SessionSettings } from './session-settings.ts';
import { withoutTimeouts } from './session-timeouts.ts';
import { StatementNames } from './statement-names.ts';

/** The server, as its sessions need it. */
export interface SessionHost {
  readonly backend: Backend;
  /** ParameterStatus messages that every client gets. */
  readonly parameters: Buffer;
  /** That every client is asked for; undefined: none. */
  readonly password: string | undefined;
  /** A transaction of this session notified; its own session may be among those that listen. */
  notified(channel: string, payload: string): void;
  /** The backend has forgotten what the sessions listen to. */
  unlistened(): void;
  /** Whether a session that is still there has set it. */
  isSet(setting: string): boolean;
  /** The backend has forgotten the prepared statements of all sessions; this one asked for it. */
  deallocated(by: Session): void;
  /** Whether a session that is still there may have made what this statement clears away. */
  isLeftover(clearing: string): boolean;
  ended(session: Session): void;
}

/** Messages that end a batch: what comes before them is kept together. */
const BATCH_ENDS: ReadonlySet<string> = new Set(['S', 'Q', 'H', 'F', 'd', 'c', 'f']);
/** Those that PostgreSQL answers with a ReadyForQuery at the end. */
const IS_ANSWERED: ReadonlySet<string> = new Set(['S', 'Q', 'F']);
/** What PostgreSQL knows of a client; at any other its backend would end itself. */
const KNOWN: ReadonlySet<string> = new Set([...BATCH_ENDS, 'X', 'P', 'B', 'D', 'E', 'C']);
/** For a message, and for all the rows of a COPY. */
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;
/** A client that sends ahead waits when so many of its batches do. */
const MAX_PENDING = 32;
/** After an error PostgreSQL passes over everything up to it. */
const SYNC = message('S');
const FORGETS_CHANNELS = /^(UNLISTEN|DISCARD ALL)\0/;
const FORGETS_STATEMENTS = /^(DEALLOCATE|DISCARD) ALL\0/;

const HELD_TEXT =
  'the embedded database has one backend, and the open transaction of another connection has held it for ' +
  `${HELD_LIMIT_MS / 1000} s; inside a transaction run every statement on its own handle, or use a PostgreSQL server`;

/** One client, from its first byte to the end of its socket. */
export class Session {
  readonly processId: number;
  readonly channels = new Channels();
  readonly settings = new SessionSettings();
  readonly leftovers = new SessionLeftovers();
  readonly #socket: Socket;
  readonly #host: SessionHost;
  readonly #splitter = new MessageSplitter(MAX_MESSAGE_BYTES);
  readonly #names = new StatementNames();
  #greeting: Greeting | undefined;
  #batch: Buffer[] = [];
  /** Bytes of a COPY FROM STDIN and its rows; undefined when there is none. */
  #copyBytes: number | undefined;
  #pending = 0;
  #last: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(processId: number, socket: Socket, host: SessionHost) {
    this.processId = processId;
    this.#socket = socket;
    this.#host = host;
    this.#greeting = new Greeting(processId, host.parameters, host.password);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', () => this.#end());
    socket.on('close', () => this.#end());
  }

  /** Tells the client of a notification, if it listens. */
  notify(fromProcessId: number, channel: string, payload: string): void {
    if (this.channels.has(channel)) this.#socket.write(notification(fromProcessId, channel, payload));
  }

  /** The server goes: tells the client, then ends its socket. */
  shutDown(): void {
    if (this.#isOver) return;
    this.#refuse('57P01', 'the embedded database stops');
  }

  /** Prepares its statements again, or none of them if it was its own doing that they are gone. */
  deallocated(by: Session): void {
    if (by === this) this.#names.forget();
    else if (this.#names.hasPrepared) this.#host.backend.keepHouse(this, this.#names.again());
  }

  cutOff(): void {
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    try {
      if (this.#greeting) this.#greet(this.#greeting, chunk);
      else for (const each of this.#splitter.push(chunk)) this.#receive(each);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      this.#refuse('08P01', `not PostgreSQL's protocol: ${error.message}`);
    }
  }

  #greet(greeting: Greeting, chunk: Buffer): void {
    const greeted = greeting.push(chunk);
    if (greeted.kind === 'more') return;
    this.#socket.write(greeted.bytes);
    if (greeted.kind === 'refused') this.#socket.end();
    if (greeted.kind === 'answer') this.#greet(greeting, Buffer.alloc(0));
    if (greeted.kind !== 'open') return;
    this.#greeting = undefined;
    this.#socket.write(READY_IDLE);
    if (greeted.rest.length > 0) this.#onData(greeted.rest);
  }

  #receive(received: WireMessage): void {
    if (this.#isOver) return;
    const { type, bytes } = received;
    if (type === 'X') {
      this.#socket.end();
      this.#end();
      return;
    }
    if (!KNOWN.has(type)) throw new MalformedMessage(`of type ${JSON.stringify(type)}`);
    if (this.#copyBytes !== undefined) {
      this.#receiveRows(this.#copyBytes, received);
      return;
    }
    const sql = type === 'Q' ? bytes.toString('utf8', HEAD_BYTES) : '';
    // A query's text follows the statement's name in Parse.
    const start = type === 'P' ? bytes.indexOf(0, HEAD_BYTES) + 1 : HEAD_BYTES;
    const followed = type === 'Q' || type === 'P' ? this.#follow(received, start) : bytes;
    this.#batch.push(this.#names.translate({ type, bytes: followed }));
    const answer = copyInAnswer(sql);
    if (answer) this.#awaitRows(bytes.length, answer);
    else if (BATCH_ENDS.has(type)) this.#last = this.#run(type);
  }

  /** @returns the message as the backend may see it */
  #follow({ type, bytes }: WireMessage, start: number): Buffer {
    const sql = bytes.toString('utf8', start);
    this.channels.follow(sql);
    this.settings.follow(sql);
    this.leftovers.follow(sql);
    return this.#names.translateText({ type, bytes: withoutTimeouts(bytes, start) }, start);
  }

  #awaitRows(copyBytes: number, answer: Buffer): void {
    this.#copyBytes = copyBytes;
    // Behind the answers to what was sent before.
    void this.#last.then(() => {
      if (!this.#isOver) this.#socket.write(answer);
    });
  }

  #receiveRows(before: number, { type, bytes }: WireMessage): void {
    // As PostgreSQL does: libpq sends a Sync behind the COPY before it knows what it was.
    if (type === 'H' || type === 'S') return;
    this.#copyBytes = before + bytes.length;
    if (this.#copyBytes > MAX_MESSAGE_BYTES) {
      this.#refuse('54000', 'the rows of one COPY are more than the embedded database takes, 256 MiB');
      return;
    }
    this.#batch.push(bytes);
    if (type === 'd') return;
    this.#copyBytes = undefined;
    this.#last = this.#run('Q');
  }

  async #run(end: string): Promise<void> {
    const last = this.#batch.pop() ?? NO_ROWS;
    // A COPY that waits for rows would pass over a Sync.
    const bytes = Buffer.concat([...this.#batch, ...(end === 'Q' ? [last, NO_ROWS] : [NO_ROWS, last])]);
    this.#batch = [];
    this.#pending += 1;
    if (this.#pending > MAX_PENDING) this.#socket.pause();
    const output: Buffer[] = [];
    let isForgetful = false;
    try {
      const onMessage = ({ type, bytes }: WireMessage) => {
        if (type === 'A') {
          const { channel, payload } = readNotification(bytes);
          this.#host.notified(channel, payload);
          return;
        }
        // Its rows are there, or never come: the client has nothing to do.
        if (type === 'G') return;
        if (type === 'C') {
          const tag = bytes.toString('latin1', HEAD_BYTES, HEAD_BYTES + 16);
          isForgetful ||= FORGETS_CHANNELS.test(tag);
          // At once: what another session has waiting may be one of them.
          if (FORGETS_STATEMENTS.test(tag)) this.#host.deallocated(this);
        }
        output.push(bytes);
      };
      await this.#host.backend.run(this, bytes, onMessage, { goesOn: !IS_ANSWERED.has(end), isSkippable: end !== 'S' });
      if (output.length > 0) this.#socket.write(output.length === 1 ? (output[0] ?? '') : Buffer.concat(output));
      if (isForgetful) this.#host.unlistened();
    } catch (error) {
      if (!(error instanceof BackendHeld)) return this.#refuse('57P01', 'the embedded database is gone');
      this.#socket.write(errorResponse('ERROR', '55P03', HELD_TEXT));
      if (IS_ANSWERED.has(end)) this.#socket.write(READY_IDLE);
    } finally {
      this.#pending -= 1;
      if (this.#pending <= MAX_PENDING && !this.#isOver) this.#socket.resume();
    }
  }

  #refuse(code: string, text: string): void {
    this.#socket.end(errorResponse('FATAL', code, text));
    this.#end();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#host.ended(this);
    const settings = this.settings.farewell((name) => this.#host.isSet(name));
    const leftovers = this.leftovers.farewell((clearing) => this.#host.isLeftover(clearing));
    const farewell = [SYNC, message('Q', 'ROLLBACK'), settings, leftovers, this.#names.farewell()];
    this.#host.backend.leave(this, Buffer.concat(farewell));
  }
}
