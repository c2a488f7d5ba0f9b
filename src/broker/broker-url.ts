import type { Options } from 'amqplib';
import { InvalidArgumentError } from '../errors.ts';
import { BrokerTls } from './broker-tls.ts';

const DEFAULT_PORTS = { amqp: 5672, amqps: 5671 } as const;
const MAX_HEARTBEAT_SECONDS = 65_535;

/**
 * One broker node as its URL names it. The password is a private field that only `connectOptions` hands out, so that
 * a logged or inspected node shows none.
 */
export class BrokerNode {
  readonly protocol: 'amqp' | 'amqps';
  readonly hostname: string;
  readonly port: number;
  readonly username: string;
  readonly vhost: string;
  /** From `?heartbeat=`, in seconds; 0 switches heartbeats off. */
  readonly heartbeatSeconds: number | undefined;
  /** `amqp://user:***@host:5672/vhost`: the only form for texts. */
  readonly masked: string;
  /** undefined: the connection is not encrypted. */
  readonly tls: BrokerTls | undefined;
  /** Whether the certificate says who we are (SASL EXTERNAL), instead of user and password. */
  readonly isExternal: boolean;
  readonly #password: string;

  constructor(url: URL) {
    this.protocol = url.protocol === 'amqps:' ? 'amqps' : 'amqp';
    this.hostname = url.hostname.replace(/^\[|\]$/g, '');
    this.port = url.port === '' ? DEFAULT_PORTS[this.protocol] : Number(url.port);
    const isAnonymous = url.username === '' && url.password === '';
    this.username = isAnonymous ? 'guest' : decoded(url.username, 'user');
    this.#password = isAnonymous ? 'guest' : decoded(url.password, 'password');
    this.vhost = decoded(url.pathname.slice(1), 'virtual host') || '/';
    assertParts(url);
    assertParameters(url);
    this.heartbeatSeconds = heartbeatOf(url);
    this.tls = this.protocol === 'amqps' ? new BrokerTls(url) : undefined;
    this.isExternal = url.searchParams.get('auth_mechanism')?.toLowerCase() === 'external';
    const path = this.vhost === '/' ? '' : `/${encodeURIComponent(this.vhost)}`;
    this.masked = `${this.protocol}://${encodeURIComponent(this.username)}:***@${url.hostname}:${this.port}${path}`;
  }

  /** @param defaultHeartbeatSeconds for a URL that names none */
  connectOptions(defaultHeartbeatSeconds: number): Options.Connect {
    return {
      protocol: this.protocol,
      hostname: this.hostname,
      port: this.port,
      username: this.username,
      password: this.#password,
      // amqplib unescapes the vhost of its object form once more.
      vhost: encodeURIComponent(this.vhost),
      heartbeat: this.heartbeatSeconds ?? defaultHeartbeatSeconds,
    };
  }

  toString(): string {
    return this.masked;
  }

  toJSON(): string {
    return this.masked;
  }
}

/**
 * Reads one URL, or one for each node of a cluster: `amqp[s]://user:password@host[:port][/vhost][?heartbeat=SECONDS]`.
 * Left out are guest/guest, the protocol's port and the vhost `/`. For the parameters of TLS see `BrokerTls`.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT); its text never holds any part of what may be a password
 */
export function parseBrokerUrls(urls: string | readonly string[]): readonly [BrokerNode, ...BrokerNode[]] {
  const [first, ...others] = (typeof urls === 'string' ? [urls] : urls).map(parseBrokerUrl);
  if (!first) throw new InvalidArgumentError('brokerUrl', 'at least one URL', 'an empty list');
  return [first, ...others];
}

function parseBrokerUrl(text: string): BrokerNode {
  // What cannot be parsed is not shown: nobody knows which part of it is the password.
  if (!URL.canParse(text)) throw new InvalidArgumentError('brokerUrl', EXPECTED, 'a text that is no URL');
  const url = new URL(text);
  if (url.protocol !== 'amqp:' && url.protocol !== 'amqps:') {
    throw new InvalidArgumentError('brokerUrl', EXPECTED, `protocol "${url.protocol}"`);
  }
  if (url.hostname === '') throw new InvalidArgumentError('brokerUrl', EXPECTED, 'a URL without a host');
  return new BrokerNode(url);
}

const EXPECTED = 'amqp[s]://user:password@host[:port][/vhost]';

function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new InvalidArgumentError('brokerUrl', `a ${what} that is percent-encoded`, 'a "%" without two hex digits');
  }
}

/** A password with a sign that is not percent-encoded is cut there, and what is behind it would be read as something else. */
function assertParts({ pathname, hash }: URL): void {
  if (hash !== '') {
    throw new InvalidArgumentError('brokerUrl', 'no "#": in a password it is written %23', 'one');
  }
  // Of `user@tenant:2024/rest@host` the user's "@" is taken for the one before the host.
  if (pathname.includes('@')) {
    throw new InvalidArgumentError(
      'brokerUrl',
      'a "/" of a password as %2F, an "@" of a virtual host as %40',
      'an "@" behind a "/"',
    );
  }
}

/** What may be the rest of a password, up to the `@` before the host, is not shown. */
const shown = (text: string): string =>
  text.includes('@') ? 'a text with "@", which in a password is written %40' : text;

/** Of TLS, which `amqps:` alone has. */
const TLS_PARAMETERS = ['cacertfile', 'certfile', 'keyfile', 'password', 'server_name_indication', 'verify'];
const PARAMETERS = ['heartbeat', 'auth_mechanism', ...TLS_PARAMETERS];

/** What is not known is refused: left unread, a certificate's file with its name misspelt would go unnoticed. */
function assertParameters({ searchParams, protocol }: URL): void {
  for (const name of searchParams.keys()) {
    if (!PARAMETERS.includes(name)) {
      throw new InvalidArgumentError('brokerUrl', `none but the parameters ${PARAMETERS.join(', ')}`, shown(name));
    }
    if (searchParams.getAll(name).length > 1) {
      throw new InvalidArgumentError('brokerUrl', `the parameter ${name} once`, 'more than one');
    }
    if (protocol !== 'amqps:' && TLS_PARAMETERS.includes(name)) {
      throw new InvalidArgumentError('brokerUrl', `amqps:// for the parameter ${name}`, protocol.slice(0, -1));
    }
  }
  const mechanism = searchParams.get('auth_mechanism') ?? 'plain';
  if (!/^(plain|external)$/i.test(mechanism)) {
    throw new InvalidArgumentError('brokerUrl', 'auth_mechanism plain or external', shown(mechanism));
  }
  const verify = searchParams.get('verify') ?? 'verify_peer';
  if (verify !== 'verify_peer') {
    const expected = 'verify=verify_peer, which cannot be turned off: an authority of your own goes into cacertfile';
    throw new InvalidArgumentError('brokerUrl', expected, shown(verify));
  }
}

function heartbeatOf(url: URL): number | undefined {
  const given = url.searchParams.get('heartbeat');
  if (given === null) return undefined;
  const seconds = Number(given);
  if (given === '' || !Number.isInteger(seconds) || seconds < 0 || seconds > MAX_HEARTBEAT_SECONDS) {
    throw new InvalidArgumentError(
      'brokerUrl',
      `heartbeat of 0 to ${MAX_HEARTBEAT_SECONDS} whole seconds`,
      shown(given),
    );
  }
  return seconds;
}
