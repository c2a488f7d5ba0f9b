import type { Duplex } from 'node:stream';

/** Tells Node where its channel is; it takes the variable away before it runs anybody's code. */
export const CHANNEL_VARIABLES = Object.freeze({ NODE_CHANNEL_FD: '3' });

/** Of whatever is said besides a result: a progress, a failure. */
const SMALL_BYTES = 64 * 1024;
const LINE_END = 0x0a;

export interface ProcessChannelOptions {
  readonly onMessage: (message: unknown) => void;
  /** Called once, and nothing more is heard. @param what was written to it, for `it wrote …` */
  readonly onRubbish: (what: string) => void;
}

/**
 * The parent's end of Node's IPC channel to a process that runs the user's code, which can write to any file descriptor:
 * JSON, a value a line. Node's own end throws a line that it cannot read out of the event loop, which ends a worker and all
 * that it runs, and keeps one that does not end.
 */
export class ProcessChannel {
  readonly #stream: Duplex | undefined;
  readonly #options: ProcessChannelOptions;
  #line: Buffer[] = [];
  #lineBytes = 0;
  #maxBytes = SMALL_BYTES;
  #isOver = false;

  /** @param stream undefined when the process could not be started */
  constructor(stream: Duplex | undefined, options: ProcessChannelOptions) {
    this.#stream = stream;
    this.#options = options;
    stream?.on('data', (chunk: Buffer) => this.#read(chunk));
    // It is gone, which its exit tells.
    stream?.on('error', () => undefined);
  }

  /** From now on: a JSON text of so many bytes may come, as a text within JSON. */
  expect(resultBytes: number): void {
    this.#maxBytes = SMALL_BYTES + 2 * resultBytes;
  }

  send(message: object): void {
    if (this.#stream?.writable) this.#stream.write(`${JSON.stringify(message)}\n`);
  }

  #read(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(LINE_END); end !== -1 && !this.#isOver; end = chunk.indexOf(LINE_END, from)) {
      this.#add(chunk.subarray(from, end));
      from = end + 1;
      if (!this.#isOver) this.#lineEnds();
    }
    if (from < chunk.length) this.#add(chunk.subarray(from));
  }

  #add(part: Buffer): void {
    if (this.#isOver) return;
    this.#line.push(part);
    this.#lineBytes += part.length;
    if (this.#lineBytes > this.#maxBytes) this.#end(`more than ${this.#maxBytes} bytes at once`);
  }

  #lineEnds(): void {
    const line = Buffer.concat(this.#line).toString();
    this.#line = [];
    this.#lineBytes = 0;
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      this.#end('something else than Node does');
      return;
    }
    this.#options.onMessage(message);
  }

  #end(what: string): void {
    this.#isOver = true;
    this.#line = [];
    this.#options.onRubbish(what);
  }
}
