import { Readable } from 'node:stream';
import { MessageTooLargeError } from '../errors.ts';

/**
 * Makes a call whose body may be a stream. Nobody reads it before there is a token and a connection: what it fails with
 * meanwhile (its file is not there) would be an error without a listener, which ends the process. The request fails with
 * it instead. A stream that no server takes is closed, with its file.
 */
export function sendingStream<Result>(body: unknown, call: () => Promise<Result>): Promise<Result> {
  return body instanceof Readable ? closingOnFailure(body, call) : call();
}

/** The same stream, which fails with MessageTooLargeError where it becomes longer. It is read when this one is. */
export function limitedStream(stream: Readable, limitBytes: number): Readable {
  async function* chunks() {
    let bytes = 0;
    for await (const chunk of stream) {
      bytes += Buffer.byteLength(chunk);
      if (bytes > limitBytes) throw new MessageTooLargeError('request body', bytes, limitBytes);
      yield chunk;
    }
  }
  return Readable.from(chunks(), { objectMode: false });
}

async function closingOnFailure<Result>(stream: Readable, call: () => Promise<Result>): Promise<Result> {
  stream.on('error', () => undefined);
  try {
    return await call();
  } catch (error) {
    stream.destroy();
    throw error;
  }
}
