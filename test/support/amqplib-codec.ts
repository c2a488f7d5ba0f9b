import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);

type Fields = Readonly<Record<string, unknown>>;

/** What the package does not export: how amqplib itself writes and reads. */
interface Codec {
  readonly BasicPublish: number;
  readonly BasicDeliver: number;
  readonly BasicProperties: number;
  encodeMethod(id: number, channel: number, fields: Fields): Buffer;
  encodeProperties(id: number, channel: number, bodyBytes: number, properties: Fields): Buffer;
  /** @param bytes behind the ids of a method; behind the size of a content header */
  decode(id: number, bytes: Buffer): Record<string, unknown>;
}

export const amqplibCodec = require(join(dirname(require.resolve('amqplib')), 'lib/defs.js')) as Codec;
