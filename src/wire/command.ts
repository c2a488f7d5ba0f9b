import { InvalidArgumentError } from '../errors.ts';
import { deadlineMeta, readDeadline } from './deadline.ts';
import { isJsonObject, type JsonObject, requireObject } from './envelope.ts';
import { DEFAULT_JSON_LIMITS, encodePart, type JsonLimits } from './json.ts';

export interface WireCommand {
  readonly arguments: JsonObject;
  readonly deadline: Date | undefined;
}

/**
 * The body of a command: the arguments with `meta` beside them.
 * @param limits of its receivers
 * @throws InvalidArgumentError when the arguments have a `meta` of their own: it would be overwritten
 * @throws InvalidArgumentError when JSON does not write them as an object
 * @throws UnserialisablePayloadError
 */
export function encodeCommand(command: WireCommand, limits: JsonLimits = DEFAULT_JSON_LIMITS): string {
  const text = encodePart(command.arguments, 'arguments', limits);
  // A Date and its like write themselves, and not always as an object.
  const written: unknown = 'toJSON' in command.arguments ? JSON.parse(text) : command.arguments;
  if (!isJsonObject(written))
    throw new InvalidArgumentError('arguments', 'an object', 'one that JSON writes otherwise');
  if (Object.hasOwn(written, 'meta')) {
    throw new InvalidArgumentError('arguments.meta', 'no key "meta" (the wire format needs it)', 'one');
  }
  const meta = `"meta":${JSON.stringify(deadlineMeta(command.deadline))}`;
  return text === '{}' ? `{${meta}}` : `${text.slice(0, -1)},${meta}}`;
}

/** @throws MalformedMessageError (SVC_COMM_MALFORMED_MESSAGE) */
export function decodeCommand(body: unknown): WireCommand {
  const { meta, ...rest } = requireObject(body, 'the body');
  return { arguments: rest, deadline: readDeadline(meta) };
}
