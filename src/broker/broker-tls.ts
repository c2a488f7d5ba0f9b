import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import { InvalidArgumentError } from '../errors.ts';
import { isError } from '../util/thrown.ts';

export type BrokerTlsOptions = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'passphrase' | 'servername'>;

const FILES = { ca: 'cacertfile', cert: 'certfile', key: 'keyfile' } as const;
type Part = keyof typeof FILES;

/**
 * What the URL of a broker says of TLS, in RabbitMQ's own words
 * (https://www.rabbitmq.com/docs/uri-query-parameters). The files are read at each connection: certificates are renewed
 * while a process runs.
 */
export class BrokerTls {
  readonly #files: ReadonlyMap<Part, string>;
  readonly #others: Pick<BrokerTlsOptions, 'passphrase' | 'servername'>;

  /** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for files that cannot be read, and for half of what belongs together */
  constructor({ searchParams }: URL) {
    const parts = Object.keys(FILES) as Part[];
    this.#files = new Map(
      parts.flatMap((part) => {
        const path = searchParams.get(FILES[part]);
        return path === null ? [] : [[part, path]];
      }),
    );
    const passphrase = searchParams.get('password');
    const servername = searchParams.get('server_name_indication');
    this.#others = { ...(passphrase !== null && { passphrase }), ...(servername !== null && { servername }) };
    if (this.#files.has('cert') !== this.#files.has('key')) {
      throw new InvalidArgumentError('brokerUrl', 'certfile and keyfile together', 'one of them');
    }
    if (passphrase !== null && !this.#files.has('key')) {
      const expected = 'password, the passphrase of a key, with certfile and keyfile; that of the user before the "@"';
      throw new InvalidArgumentError('brokerUrl', expected, 'the password alone');
    }
    for (const [part, path] of this.#files) assertReadable(FILES[part], path);
  }

  /** As node:tls has them. @throws Error for a file that cannot be read */
  async options(): Promise<BrokerTlsOptions> {
    const read = async ([part, path]: [Part, string]) => [part, await readFile(path)] as const;
    return { ...Object.fromEntries(await Promise.all([...this.#files].map(read))), ...this.#others };
  }
}

function assertReadable(parameter: string, path: string): void {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch (error) {
    const { code = 'unreadable' } = error as NodeJS.ErrnoException;
    throw new InvalidArgumentError('brokerUrl', `a file that can be read as ${parameter}`, `${path} (${code})`, {
      cause: error,
    });
  }
  // node:tls passes over authorities that are no PEM, and trusts nobody then.
  if (parameter === FILES.ca && !/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/.test(text)) {
    throw new InvalidArgumentError('brokerUrl', `a file with a certificate in PEM as ${parameter}`, path);
  }
}

/**
 * Whether a handshake failed for what one of the two sides is, or has been given: trying again does not help.
 * Codes of node:tls ("X509 certificate error codes") and of OpenSSL.
 */
export function isTlsFailure(error: unknown): boolean {
  const code: unknown = isError(error) ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' && (CERTIFICATE_CODES.has(code) || /^ERR_(SSL|OSSL|TLS_CERT)_/.test(code));
}

const CERTIFICATE_CODES = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'HOSTNAME_MISMATCH',
  'INVALID_PURPOSE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** What to do about it. */
export function tlsAdvice(error: unknown): string {
  const code = String((error as NodeJS.ErrnoException).code);
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    return "that port speaks no TLS: give the broker's TLS port (5671 by default), or amqp:// without TLS";
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID' || code === 'HOSTNAME_MISMATCH') {
    return 'give the name that the certificate is for, as the host or with ?server_name_indication=';
  }
  if (code.startsWith('ERR_OSSL_'))
    return "certfile and keyfile must be PEM, of one pair, the key's passphrase in &password=";
  if (code.includes('_ALERT_')) {
    return 'the broker does not take our certificate, or wants one: give ?certfile=…&keyfile=… of an authority that it trusts';
  }
  return "give the authority that signed the broker's certificate with ?cacertfile=, or in NODE_EXTRA_CA_CERTS";
}
