import { InvalidArgumentError } from '../errors.ts';
import { deadlineMeta, readDeadline } from './deadline.ts';
import { type JsonObject, requireObject } from './envelope.ts';
import { encodeJson } from './json.ts';

export interface WireCommand {
  readonly arguments: JsonObject;
  readonly deadline: Date | undefined;
}

/**
 * The body of a command: the arguments with `meta` beside them.
 * @throws InvalidArgumentError when the arguments have a `meta` of their own: it would be overwritten
 * @throws UnserialisablePayloadError
 */
export function encodeCommand(command: WireCommand): string {
  if (Object.hasOwn(command.arguments, 'meta')) {
    throw new InvalidArgumentError('arguments.meta', 'no key "meta" (the wire format needs it)', 'one');
  }
  return encodeJson({ ...command.arguments, meta: deadlineMeta(command.deadline) }, 'arguments');
}

/** @throws MalformedMessageError (SVC_COMM_MALFORMED_MESSAGE) */
export function decodeCommand(body: unknown): WireCommand {
  const { meta, ...rest } = requireObject(body, 'the body');
  return { arguments: rest, deadline: readDeadline(meta) };
}
