import { InvalidArgumentError } from '../errors.ts';
import { deadlineMeta, readDeadline } from './deadline.ts';
import { isJsonObject, type JsonObject, requireObject } from './envelope.ts';
import { DEFAULT_JSON_LIMITS, encodePart, type JsonLimits } from './json.ts';

export interface WireCommand {
  readonly arguments: JsonObject;
  readonly deadline: Date | undefined;
}

/** The body of a command. Throws as `encodeArguments`. */
export const encodeCommand = (command: WireCommand, limits?: JsonLimits): string =>
  commandBody(encodeArguments(command.arguments, limits), command.deadline);

/**
 * The arguments as JSON text, the first part of a command's body.
 * @param limits of its receivers
 * @throws InvalidArgumentError when the arguments have a `meta` of their own: it would be overwritten
 * @throws InvalidArgumentError when JSON does not write them as an object
 * @throws UnserialisablePayloadError
 */
export function encodeArguments(args: JsonObject, limits: JsonLimits = DEFAULT_JSON_LIMITS): string {
  const text = encodePart(args, 'arguments', limits);
  // A Date and its like write themselves, and not always as an object.
  const written: unknown = 'toJSON' in args ? JSON.parse(text) : args;
  if (!isJsonObject(written))
    throw new InvalidArgumentError('arguments', 'an object', 'one that JSON writes otherwise');
  if (Object.hasOwn(written, 'meta')) {
    throw new InvalidArgumentError('arguments.meta', 'no key "meta" (the wire format needs it)', 'one');
  }
  return text;
}

/** @param text see `encodeArguments` */
export function commandBody(text: string, deadline: Date | undefined): string {
  const meta = `"meta":${JSON.stringify(deadlineMeta(deadline))}`;
  return text === '{}' ? `{${meta}}` : `${text.slice(0, -1)},${meta}}`;
}

/** @throws MalformedMessageError (SVC_COMM_MALFORMED_MESSAGE) */
export function decodeCommand(body: unknown): WireCommand {
  const { meta, ...rest } = requireObject(body, 'the body');
  return { arguments: rest, deadline: readDeadline(meta) };
}
