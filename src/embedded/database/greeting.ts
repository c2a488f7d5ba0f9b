import { timingSafeEqual } from 'node:crypto';
import {
  ASK_FOR_PASSWORD,
  AUTHENTICATION_OK,
  backendKey,
  errorResponse,
  NOT_ENCRYPTED,
  PROTOCOL_3_0_ONLY,
} from './backend-messages.ts';
import { HEAD_BYTES, MalformedMessage } from './message-splitter.ts';

/** Requests that take the place of a protocol version (PostgreSQL, "Message Formats"). */
const CANCEL = 80_877_102;
const TLS = 80_877_103;
const GSSAPI = 80_877_104;
const LONGEST = 10_000;
/** Type of a PasswordMessage: 'p'. */
const PASSWORD = 0x70;

/** The one role and the one database. */
export const ROLE = 'postgres';
export const DATABASE = 'postgres';

export type Greeted =
  | { readonly kind: 'more' }
  | { readonly kind: 'answer'; readonly bytes: Buffer }
  | { readonly kind: 'refused'; readonly bytes: Buffer }
  | { readonly kind: 'open'; readonly bytes: Buffer; readonly rest: Buffer };

/** What a client sends before its first statement: messages without a type. */
export class Greeting {
  readonly #processId: number;
  readonly #parameters: Buffer;
  readonly #password: string | undefined;
  #isAsked = false;
  #rest: Buffer = Buffer.alloc(0);

  /**
   * @param parameters ParameterStatus messages of the backend
   * @param password that clients are asked for; undefined: none
   */
  constructor(processId: number, parameters: Buffer, password?: string) {
    this.#password = password;
    this.#processId = processId;
    this.#parameters = parameters;
  }

  /** @throws MalformedMessage */
  push(chunk: Buffer): Greeted {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    if (this.#isAsked) return this.#readPassword();
    if (this.#rest.length < 8) return { kind: 'more' };
    const length = this.#rest.readInt32BE(0);
    if (length < 8 || length > LONGEST) throw new MalformedMessage(`a start-up message of ${length} bytes`);
    if (this.#rest.length < length) return { kind: 'more' };
    const message = this.#rest.subarray(4, length);
    this.#rest = this.#rest.subarray(length);
    return this.#answer(message.readInt32BE(0), message.subarray(4));
  }

  #answer(code: number, body: Buffer): Greeted {
    if (code === TLS || code === GSSAPI) return { kind: 'answer', bytes: NOT_ENCRYPTED };
    // A statement cannot be interrupted: it runs in this thread.
    if (code === CANCEL) return { kind: 'refused', bytes: Buffer.alloc(0) };
    const [major, minor] = [code >> 16, code & 0xffff];
    if (major !== 3) return refused('0A000', `unsupported frontend protocol ${major}.${minor}`);
    const given = readParameters(body);
    const user = given.get('user') ?? '';
    const database = given.get('database') ?? user;
    if (user !== ROLE) return refused('28000', `role "${user}" does not exist: the embedded database has "${ROLE}"`);
    if (database !== DATABASE) {
      return refused('3D000', `database "${database}" does not exist: the embedded one is named "${DATABASE}"`);
    }
    const before = minor > 0 ? PROTOCOL_3_0_ONLY : Buffer.alloc(0);
    if (this.#password === undefined) return this.#open(before);
    this.#isAsked = true;
    return { kind: 'answer', bytes: Buffer.concat([before, ASK_FOR_PASSWORD]) };
  }

  /** A PasswordMessage: in clear, on the loopback interface. */
  #readPassword(): Greeted {
    if (this.#rest.length < HEAD_BYTES) return { kind: 'more' };
    const length = this.#rest.readInt32BE(1);
    const isPassword = this.#rest[0] === PASSWORD && length >= 5 && length <= LONGEST;
    if (!isPassword) throw new MalformedMessage('no password where one was asked for');
    if (this.#rest.length < 1 + length) return { kind: 'more' };
    const given = this.#rest.subarray(HEAD_BYTES, length);
    this.#rest = this.#rest.subarray(1 + length);
    const wanted = Buffer.from(this.#password ?? '');
    if (given.length === wanted.length && timingSafeEqual(given, wanted)) return this.#open(Buffer.alloc(0));
    return refused('28P01', `password authentication failed for user "${ROLE}"`);
  }

  #open(before: Buffer): Greeted {
    const parts = [before, AUTHENTICATION_OK, this.#parameters, backendKey(this.#processId)];
    return { kind: 'open', bytes: Buffer.concat(parts), rest: this.#rest };
  }
}

const refused = (code: string, text: string): Greeted => ({
  kind: 'refused',
  bytes: errorResponse('FATAL', code, text),
});

function readParameters(body: Buffer): ReadonlyMap<string, string> {
  const words = body.toString('utf8').split('\0');
  const pairs = new Map<string, string>();
  for (let at = 0; at + 1 < words.length && words[at] !== ''; at += 2) pairs.set(words[at] ?? '', words[at + 1] ?? '');
  return pairs;
}
