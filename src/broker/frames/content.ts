import type { MessageProperties } from '../../message/message.ts';
import { FieldReader, UnreadableFrameError } from './field-reader.ts';
import { CONTENT_FLAGS_AT, METHOD } from './protocol.ts';
import { readProperties } from './read-properties.ts';
import type { TextMemo } from './text-memo.ts';

/** A message as it came: by `basic.deliver` or `basic.get`, or back by `basic.return`. */
export interface IncomingMessage {
  readonly exchange: string;
  readonly routingKey: string;
  /** 0 of one that came back. */
  readonly deliveryTag: number;
  readonly redelivered: boolean;
  readonly properties: MessageProperties;
  readonly body: Buffer;
}

/** Who gets the frames of one channel that there are many of. None of them may throw: the connection would end. */
export interface ChannelListener {
  onDelivery?(message: IncomingMessage): void;
  onReturn?(message: IncomingMessage): void;
  /** Messages are with the broker, or (`isAck` false) it could not take them. */
  onConfirm?(tag: number, isMultiple: boolean, isAck: boolean): void;
}

const NOTHING = Buffer.alloc(0);

/** The message that a channel is in the middle of: its method, then its header, then its body in any number of pieces. */
export class Content {
  readonly #listener: ChannelListener;
  readonly #memo: TextMemo;
  #method = 0;
  #exchange = '';
  #routingKey = '';
  #tag = 0;
  #redelivered = false;
  #properties: MessageProperties = {};
  #missing = 0;
  #pieces: Buffer[] = [];
  #awaits: 'method' | 'header' | 'body' = 'method';

  constructor(listener: ChannelListener, memo: TextMemo) {
    this.#listener = listener;
    this.#memo = memo;
  }

  /** Whether frames of content are this message's. */
  get isOpen(): boolean {
    return this.#awaits !== 'method';
  }

  /** One of those that there are many of. */
  method(id: number, bytes: Buffer, at: number, end: number): void {
    const reader = new FieldReader(bytes, at, end, this.#memo);
    if (id === METHOD.deliver || id === METHOD.returned) this.#begin(id, reader);
    else this.#confirmed(id, reader);
  }

  header(bytes: Buffer, at: number, end: number): void {
    if (this.#awaits !== 'header') throw new UnreadableFrameError('a content header without its method');
    if (end - at < CONTENT_FLAGS_AT) throw new UnreadableFrameError('a content header ends within its first fields');
    const reader = new FieldReader(bytes, at + CONTENT_FLAGS_AT, end, this.#memo);
    this.#missing = bytes.readUInt32BE(at + 4) * 2 ** 32 + bytes.readUInt32BE(at + 8);
    this.#properties = readProperties(reader);
    this.#awaits = 'body';
    if (this.#missing === 0) this.#complete(NOTHING);
  }

  body(piece: Buffer): void {
    if (this.#awaits !== 'body') throw new UnreadableFrameError('a body without its header');
    this.#missing -= piece.length;
    if (this.#missing < 0) throw new UnreadableFrameError('a body is longer than its header says');
    if (this.#missing > 0) this.#pieces.push(piece);
    else this.#complete(this.#pieces.length === 0 ? piece : Buffer.concat([...this.#pieces, piece]));
  }

  #begin(id: number, reader: FieldReader): void {
    if (this.isOpen) throw new UnreadableFrameError('a message begins within another');
    this.#method = id;
    if (id === METHOD.deliver) {
      reader.skipShortText();
      this.#tag = reader.uint64();
      this.#redelivered = (reader.uint8() & 1) === 1;
    } else {
      reader.uint16();
      reader.skipShortText();
      this.#tag = 0;
      this.#redelivered = false;
    }
    this.#exchange = reader.name();
    this.#routingKey = reader.name();
    this.#awaits = 'header';
  }

  #confirmed(id: number, reader: FieldReader): void {
    const tag = reader.uint64();
    this.#listener.onConfirm?.(tag, (reader.uint8() & 1) === 1, id === METHOD.ack);
  }

  #complete(body: Buffer): void {
    const message: IncomingMessage = {
      exchange: this.#exchange,
      routingKey: this.#routingKey,
      deliveryTag: this.#tag,
      redelivered: this.#redelivered,
      properties: this.#properties,
      body,
    };
    this.#awaits = 'method';
    this.#pieces = [];
    if (this.#method === METHOD.deliver) this.#listener.onDelivery?.(message);
    else this.#listener.onReturn?.(message);
  }
}
