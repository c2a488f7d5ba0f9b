/** Reply codes of AMQP 0-9-1, by the names that RabbitMQ puts before its texts. */
export const REPLY_CODES = Object.freeze({
  REPLY_SUCCESS: 200,
  NO_ROUTE: 312,
  CONNECTION_FORCED: 320,
  INVALID_PATH: 402,
  ACCESS_REFUSED: 403,
  NOT_FOUND: 404,
  RESOURCE_LOCKED: 405,
  PRECONDITION_FAILED: 406,
  FRAME_ERROR: 501,
  SYNTAX_ERROR: 502,
  COMMAND_INVALID: 503,
  CHANNEL_ERROR: 504,
  UNEXPECTED_FRAME: 505,
  RESOURCE_ERROR: 506,
  NOT_ALLOWED: 530,
  NOT_IMPLEMENTED: 540,
  INTERNAL_ERROR: 541,
});
export type ReplyName = keyof typeof REPLY_CODES;

/** The specification's soft errors: they end the channel. All others end the connection. */
const SOFT: ReadonlySet<ReplyName> = new Set(['ACCESS_REFUSED', 'NOT_FOUND', 'RESOURCE_LOCKED', 'PRECONDITION_FAILED']);

/** A method, as `close` methods quote it; zeros when there is none. */
export interface MethodNumbers {
  readonly classId: number;
  readonly methodId: number;
}
export const NO_METHOD: MethodNumbers = Object.freeze({ classId: 0, methodId: 0 });

interface ProtocolErrorOptions extends ErrorOptions {
  readonly scope?: 'channel' | 'connection';
  readonly at?: MethodNumbers;
}

/** Reply texts travel as short strings. */
const MAX_TEXT = 255;

/**
 * What a peer did wrong, told to it by `channel.close` or `connection.close`. It never leaves the broker otherwise,
 * so it is no SvcCommError.
 */
export class ProtocolError extends Error {
  readonly replyName: ReplyName;
  readonly scope: 'channel' | 'connection';
  /** Numbers of the method at fault, when the error itself knows it. */
  readonly at: MethodNumbers | undefined;
  constructor(replyName: ReplyName, text: string, options: ProtocolErrorOptions = {}) {
    super(text, options);
    this.replyName = replyName;
    this.scope = options.scope ?? (SOFT.has(replyName) ? 'channel' : 'connection');
    this.at = options.at && { classId: options.at.classId, methodId: options.at.methodId };
  }
  /** The same, with the method that was worked on, unless it knows one. */
  withMethod(at: MethodNumbers): ProtocolError {
    return new ProtocolError(this.replyName, this.message, { scope: this.scope, at: this.at ?? at, cause: this });
  }
  override get name(): string {
    return 'ProtocolError';
  }
  get replyCode(): number {
    return REPLY_CODES[this.replyName];
  }
  /** `PRECONDITION_FAILED - unknown delivery tag 7`, cut to what a short string holds. */
  get replyText(): string {
    const text = `${this.replyName} - ${this.message}`;
    return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 3)}...` : text;
  }
}
