import type { FastifyInstance, FastifyRequest } from 'fastify';
import { inexactNumber } from '../../wire/inexact-number.ts';
import { decodeJson, type JsonLimits } from '../../wire/json.ts';
import { HttpProblem, problemOf } from '../problem.ts';

/** What a page of another site can send without asking first (Fetch standard, CORS-safelisted request headers). */
const FORM_TYPES: ReadonlySet<string> = new Set([
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data',
]);

/** The media type without its parameters; undefined when there is none. */
const mediaType = (header: string | undefined): string | undefined =>
  header?.split(';', 1)[0]?.trim().toLowerCase() || undefined;

/**
 * What a page of another site can send is refused before its body is read; a body that is compressed is, since its real
 * size shows only when it is too late.
 * @returns what is wrong with the headers
 */
export function bodyProblem({ headers }: FastifyRequest): HttpProblem | undefined {
  const type = mediaType(headers['content-type']);
  if (type !== undefined && FORM_TYPES.has(type)) {
    return new HttpProblem(
      415,
      `a body of the type ${type} is not taken: send JSON with Content-Type: application/json`,
    );
  }
  if (
    type === undefined &&
    (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0)
  ) {
    return new HttpProblem(415, 'a body needs a type: send JSON with Content-Type: application/json');
  }
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    return new HttpProblem(415, 'a body with a Content-Encoding is not taken: send it as it is');
  }
  return undefined;
}

/** Parses every body of the scope as JSON, whatever its type says; an empty one is `{}`. */
export function parseBodies(scope: FastifyInstance, limits: JsonLimits): void {
  scope.removeAllContentTypeParsers();
  const options = { parseAs: 'buffer', bodyLimit: limits.bodyBytes } as const;
  scope.addContentTypeParser<Buffer>('*', options, (_request, body, done) => {
    try {
      done(null, body.length === 0 ? {} : decoded(body, limits));
    } catch (error) {
      // Error handlers of an application's own go by `statusCode`, which errors of messages have not.
      done(problemOf(error));
    }
  });
}

/** What would not arrive as it was sent is refused: an id that has become another one is found by nobody. */
function decoded(body: Buffer, limits: JsonLimits): unknown {
  const value = decodeJson(body, limits);
  const number = inexactNumber(body.toString());
  if (number === undefined) return value;
  const shown = number.length > 40 ? `${number.slice(0, 40)}…` : number;
  throw new HttpProblem(400, `the number ${shown} has more digits than a double holds: send it as a text`);
}
