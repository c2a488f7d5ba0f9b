import type { FastifyRequest } from 'fastify';
import { InvalidArgumentError } from '../errors.ts';

/** As tasks and processes take it. */
const MAX_LENGTH = 255;

/**
 * The header of the IETF draft "The Idempotency-Key HTTP Header Field": a quoted string; a bare one is taken as well.
 * @throws InvalidArgumentError (400) for one of no character, which unrelated requests would share, or of more than 255
 */
export function idempotencyKey({ headers }: Pick<FastifyRequest, 'headers'>): string | undefined {
  const header = headers['idempotency-key'];
  if (typeof header !== 'string') return undefined;
  const [, quoted] = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header.trim()) ?? [];
  const key = quoted === undefined ? header.trim() : quoted.replaceAll(/\\(["\\])/g, '$1');
  if (key !== '' && key.length <= MAX_LENGTH) return key;
  throw new InvalidArgumentError(
    'Idempotency-Key',
    `a text of 1 to ${MAX_LENGTH} characters`,
    `one of ${key.length} characters`,
  );
}
