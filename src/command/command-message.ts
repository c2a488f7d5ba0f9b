import { v7 as uuidv7 } from 'uuid';
import { InvalidArgumentError, InvalidNameError } from '../errors.ts';
import type { Message } from '../message/message.ts';
import { stampedProperties } from '../message/stamp.ts';
import { assertName } from '../util/topic-pattern.ts';
import { encodeCommand } from '../wire/command.ts';
import { expirationFor } from '../wire/deadline.ts';
import { isJsonObject } from '../wire/envelope.ts';
import type { JsonLimits } from '../wire/json.ts';

export interface Command {
  readonly service: string;
  readonly commandName: string;
  readonly args: object;
  readonly deadline: Date | undefined;
}

export interface MessageParts {
  readonly appId: string;
  /** Milliseconds since the epoch, by the clock that deadlines are held against. */
  readonly now: number;
  /** Of its receivers. */
  readonly limits: JsonLimits;
}

/**
 * The message of a command, all checks done.
 * @param command its deadline lies ahead
 * @throws InvalidNameError, InvalidArgumentError, UnserialisablePayloadError: nothing has been sent
 */
export function commandMessage(
  { service, commandName, args, deadline }: Command,
  { appId, now, limits }: MessageParts,
): Message & { readonly properties: { readonly messageId: string } } {
  assertName('service', service);
  if (service === '') throw new InvalidNameError('service', service, 'is empty: it is the exchange of the service');
  assertName('commandName', commandName);
  if (!isJsonObject(args)) {
    const got = Array.isArray(args) ? 'an array' : args === null ? 'null' : typeof args;
    throw new InvalidArgumentError('arguments', 'an object', got);
  }
  const expiration = expirationFor(deadline && deadline.getTime() - now);
  const messageId = uuidv7();
  return {
    exchange: service,
    routingKey: commandName,
    body: Buffer.from(encodeCommand({ arguments: args, deadline }, limits)),
    properties: {
      ...stampedProperties({ messageId, appId, now }),
      messageId,
      ...(expiration === undefined ? {} : { expiration }),
    },
  };
}
