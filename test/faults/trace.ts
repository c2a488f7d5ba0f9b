import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { AmqpFrame } from './proxy/amqp-session.ts';
import type { Slot } from './slot.ts';

/** What passed on the wires to the broker, a line for each message: to be read when the oracle found something. */
export class Trace {
  readonly file: string;
  readonly #stream: WriteStream;

  constructor(file: string) {
    this.file = file;
    this.#stream = createWriteStream(file);
  }

  watch(slot: Slot): void {
    const methods = new WeakMap<object, Map<number, AmqpFrame>>();
    for (const proxy of slot.amqp) {
      proxy.watch((frame, _, wire) => {
        if (frame.kind === 'basic.publish' || frame.kind === 'basic.deliver') {
          const ofWire = methods.get(wire) ?? new Map<number, AmqpFrame>();
          methods.set(wire, ofWire.set(frame.channel, frame));
        } else if (frame.kind === 'content-header') {
          const method = methods.get(wire)?.get(frame.channel);
          const again = method?.redelivered ? ' again' : '';
          const what = method?.kind === 'basic.publish' ? `published to ${method.routingKey}` : `delivered${again}`;
          this.note(slot.role?.name ?? slot.name, `${what} ${frame.messageId}`);
        }
      });
    }
  }

  note(who: string, what: string): void {
    this.#stream.write(`${new Date().toISOString()} ${who} ${what}\n`);
  }

  async end(): Promise<void> {
    await new Promise<void>((resolve) => this.#stream.end(resolve));
  }
}

/** The lines of files that name one of the words. */
export async function linesWith(files: readonly string[], words: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const file of files) {
    for await (const line of createInterface({ input: createReadStream(file) })) {
      if (words.some((word) => line.includes(word))) found.push(line);
    }
  }
  return found;
}
