import { v7 as uuidv7 } from 'uuid';
import { InvalidArgumentError, InvalidNameError } from '../errors.ts';
import type { Message } from '../message/message.ts';
import { stampedProperties } from '../message/stamp.ts';
import { assertName } from '../util/topic-pattern.ts';
import { commandBody, encodeArguments } from '../wire/command.ts';
import { expirationFor } from '../wire/deadline.ts';
import { isJsonObject } from '../wire/envelope.ts';
import type { JsonLimits } from '../wire/json.ts';

export interface Command {
  readonly service: string;
  readonly commandName: string;
  readonly args: object;
}

/** Checked, its arguments written down: what becomes of them from now on does not travel. */
export interface WrittenCommand {
  readonly service: string;
  readonly commandName: string;
  /** See `encodeArguments`. */
  readonly text: string;
}

export interface MessageParts {
  /** It lies ahead. */
  readonly deadline: Date | undefined;
  readonly appId: string;
  /** Milliseconds since the epoch, by the clock that deadlines are held against. */
  readonly now: number;
}

/**
 * @param limits of its receivers
 * @throws InvalidNameError, InvalidArgumentError, UnserialisablePayloadError: nothing has been sent
 */
export function writtenCommand({ service, commandName, args }: Command, limits: JsonLimits): WrittenCommand {
  assertName('service', service);
  if (service === '') throw new InvalidNameError('service', service, 'is empty: it is the exchange of the service');
  assertName('commandName', commandName);
  if (!isJsonObject(args)) {
    const got = Array.isArray(args) ? 'an array' : args === null ? 'null' : typeof args;
    throw new InvalidArgumentError('arguments', 'an object', got);
  }
  return { service, commandName, text: encodeArguments(args, limits) };
}

export function commandMessage(
  { service, commandName, text }: WrittenCommand,
  { deadline, appId, now }: MessageParts,
): Message & { readonly properties: { readonly messageId: string } } {
  const expiration = expirationFor(deadline && deadline.getTime() - now);
  const messageId = uuidv7();
  return {
    exchange: service,
    routingKey: commandName,
    body: Buffer.from(commandBody(text, deadline)),
    properties: {
      ...stampedProperties({ messageId, appId, now }),
      messageId,
      ...(expiration === undefined ? {} : { expiration }),
    },
  };
}
