import { randomBytes } from 'node:crypto';
import type { Message } from './message.ts';

/** The pseudo-queue of direct reply-to. */
export const REPLY_TO = 'amq.rabbitmq.reply-to';
const PREFIX = `${REPLY_TO}.`;

/** Takes replies: the channel that asked. */
export interface ReplyTarget {
  deliverReply(message: Message): void;
}

/** Who waits for replies, by the name that stands in `reply_to`. */
export class DirectReplies {
  readonly #targets = new Map<string, ReplyTarget>();

  /** @returns the name for `reply_to`: as in RabbitMQ two parts in base64, of which only this broker knows the meaning */
  add(target: ReplyTarget): string {
    const name = `${PREFIX}${randomBytes(18).toString('base64')}.${randomBytes(16).toString('base64')}`;
    this.#targets.set(name, target);
    return name;
  }

  remove(name: string): void {
    this.#targets.delete(name);
  }

  /** The pseudo-queue exists for everybody, a name made by `add` while its target is there. */
  exists(name: string): boolean {
    return name === REPLY_TO || this.#targets.has(name);
  }

  /** @returns whether the routing key is a reply name; a reply to a target that is gone is dropped */
  deliver(message: Message): boolean {
    if (!message.routingKey.startsWith(PREFIX)) return false;
    this.#targets.get(message.routingKey)?.deliverReply(message);
    return true;
  }
}

export const isReplyName = (name: string): boolean => name.startsWith(REPLY_TO);
