import { authenticate, MECHANISMS, type Users } from './authentication.ts';
import type { FieldTable } from './field-table.ts';
import { EMPTY_TABLE } from './field-table.ts';
import { hasCapability } from './fields.ts';
import { FRAME_MIN_SIZE } from './frame.ts';
import type { Method, MethodArguments } from './method-table.ts';
import type { Output } from './output.ts';
import { NO_METHOD, ProtocolError } from './protocol-error.ts';
import { SERVER_PROPERTIES } from './server-properties.ts';
import { VHOST } from './virtual-host.ts';

export const CHANNEL_MAX = 2047;
export const FRAME_MAX = 131_072;

/** What client and broker have agreed on. */
export interface Session {
  readonly user: string;
  readonly clientProperties: FieldTable;
  readonly channelMax: number;
  /** 0: no limit. */
  readonly frameMax: number;
  readonly heartbeatSeconds: number;
}

type Step = 'starting' | 'tuning' | 'opening';

/**
 * The way from the protocol header to an open connection.
 *
 *   client                     broker
 *   "AMQP" 0 0 9 1 ──────────▶
 *             ◀────────────── start          (starting)
 *   start-ok  ──────────────▶
 *             ◀────────────── tune           (tuning)
 *   tune-ok   ──────────────▶                (opening)
 *   open      ──────────────▶
 *             ◀────────────── open-ok
 */
export class Handshake {
  readonly #output: Output;
  readonly #users: Users;
  readonly #heartbeatSeconds: number;
  #step: Step = 'starting';
  #user = '';
  #tuned: Pick<Session, 'channelMax' | 'frameMax' | 'heartbeatSeconds'> | undefined;
  clientProperties: FieldTable = EMPTY_TABLE;

  constructor(output: Output, users: Users, heartbeatSeconds: number) {
    this.#output = output;
    this.#users = users;
    this.#heartbeatSeconds = heartbeatSeconds;
    this.#output.method(0, 'connection.start', {
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: SERVER_PROPERTIES,
      mechanisms: MECHANISMS.join(' '),
      locales: 'en_US',
    });
  }

  get step(): Step {
    return this.#step;
  }

  /**
   * @returns the session once the connection is open
   * @throws ProtocolError for a method that does not come next, wrong credentials or limits, another virtual host
   */
  receive(method: Method): Session | undefined {
    if (this.#step === 'starting' && method.name === 'connection.start-ok') this.#authenticate(method.args);
    else if (this.#step === 'tuning' && method.name === 'connection.tune-ok') this.#tune(method.args);
    else if (this.#step === 'opening' && method.name === 'connection.open') return this.#open(method.args);
    else throw new ProtocolError('CHANNEL_ERROR', `unexpected method in connection state ${this.#step}`);
    return undefined;
  }

  #authenticate({ clientProperties, mechanism, response }: MethodArguments<'connection.start-ok'>): void {
    this.clientProperties = clientProperties;
    const user = authenticate(this.#users, mechanism, response);
    if (user === undefined) {
      throw new ProtocolError(
        'ACCESS_REFUSED',
        `Login was refused using authentication mechanism ${mechanism}. For details see the broker logfile.`,
        { scope: 'connection', at: NO_METHOD },
      );
    }
    this.#user = user;
    this.#step = 'tuning';
    this.#output.method(0, 'connection.tune', {
      channelMax: CHANNEL_MAX,
      frameMax: FRAME_MAX,
      heartbeat: this.#heartbeatSeconds,
    });
  }

  #tune({ channelMax, frameMax, heartbeat }: MethodArguments<'connection.tune-ok'>): void {
    checkLimit('frame_max', FRAME_MIN_SIZE, FRAME_MAX, frameMax);
    checkLimit('channel_max', 1, CHANNEL_MAX, channelMax);
    this.#tuned = { channelMax, frameMax, heartbeatSeconds: heartbeat };
    this.#step = 'opening';
  }

  #open({ virtualHost }: MethodArguments<'connection.open'>): Session {
    if (virtualHost !== VHOST) throw new ProtocolError('NOT_ALLOWED', `vhost ${virtualHost} not found`);
    this.#output.method(0, 'connection.open-ok', { reserved1: '' });
    const tuned = this.#tuned ?? { channelMax: CHANNEL_MAX, frameMax: FRAME_MAX, heartbeatSeconds: 0 };
    return { user: this.#user, clientProperties: this.clientProperties, ...tuned };
  }

  /** Whether the client wants to read why its login was refused, instead of seeing its connection end. */
  get wantsRefusal(): boolean {
    return hasCapability(this.clientProperties, 'authentication_failure_close');
  }
}

function checkLimit(name: string, min: number, max: number, value: number): void {
  const fail = (isLow: boolean) =>
    new ProtocolError(
      'NOT_ALLOWED',
      `negotiated ${name} = ${value}${value === 0 ? ' (no limit)' : ''} is ${isLow ? 'lower' : 'higher'} than the ` +
        `${isLow ? 'minimum' : 'maximum'} allowed value (${isLow ? min : max})`,
    );
  if (value !== 0 && value < min) throw fail(true);
  if (value === 0 || value > max) throw fail(false);
}
