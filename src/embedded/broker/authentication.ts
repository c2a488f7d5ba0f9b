import { timingSafeEqual } from 'node:crypto';
import { ByteReader } from './byte-reader.ts';
import { readEntries } from './field-table.ts';
import { textOf, toWire } from './fields.ts';
import { ProtocolError } from './protocol-error.ts';

export const MECHANISMS = ['PLAIN', 'AMQPLAIN'] as const;
export type Mechanism = (typeof MECHANISMS)[number];

/** Passwords by user name. */
export type Users = Readonly<Record<string, string>>;

interface Credentials {
  readonly user: string;
  readonly password: string;
}

/**
 * The user that a SASL response proves, as it stands on the wire.
 * @returns `undefined` for a wrong password or a user that is not known
 * @throws ProtocolError 503 for another mechanism, 502 for a response that cannot be read
 */
export function authenticate(users: Users, mechanism: string, response: string): string | undefined {
  if (!MECHANISMS.includes(mechanism as Mechanism)) {
    throw new ProtocolError('COMMAND_INVALID', `unknown authentication mechanism '${mechanism}'`);
  }
  const { user, password } = mechanism === 'PLAIN' ? readPlain(response) : readAmqPlain(response);
  const expected = Object.entries(users).find(([name]) => toWire(name) === user)?.[1];
  return expected !== undefined && isSame(toWire(expected), password) ? user : undefined;
}

function readPlain(response: string): Credentials {
  const [authorisation, user, password, ...more] = response.split('\0');
  // To act for another user is not what this mechanism does here: RabbitMQ wants the first part empty.
  if (authorisation !== '' || user === undefined || password === undefined || more.length > 0) {
    throw new ProtocolError('SYNTAX_ERROR', 'response <<...>> invalid');
  }
  return { user, password };
}

function readAmqPlain(response: string): Credentials {
  const table = readEntries(new ByteReader(Buffer.from(response, 'latin1')));
  const user = textOf(table.get('LOGIN'));
  const password = textOf(table.get('PASSWORD'));
  if (user === undefined || password === undefined) {
    throw new ProtocolError('SYNTAX_ERROR', 'AMQPLAIN auth info table is missing LOGIN or PASSWORD field');
  }
  return { user, password };
}

function isSame(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected, 'latin1'), Buffer.from(given, 'latin1')];
  return a.length === b.length && timingSafeEqual(a, b);
}
