import { HEAD_BYTES } from './message-splitter.ts';

/** Messages that the server side of PostgreSQL's protocol sends and that we make ourselves. */

export type TransactionStatus = 'I' | 'T' | 'E';

export function message(type: string, ...parts: readonly (Buffer | string)[]): Buffer {
  const body = parts.map((part) => (typeof part === 'string' ? Buffer.from(`${part}\0`) : part));
  const length = body.reduce((sum, part) => sum + part.length, 4);
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(length), ...body]);
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

export const AUTHENTICATION_OK = message('R', int32(0));
export const ASK_FOR_PASSWORD = message('R', int32(3));
export const READY_IDLE = message('Z', Buffer.from('I'));
/** Answers a request for TLS or GSSAPI: neither. */
export const NOT_ENCRYPTED = Buffer.from('N');
/** PostgreSQL's "this is the newest minor version that we speak, and we know none of your options". */
export const PROTOCOL_3_0_ONLY = message('v', int32(0), int32(0));

export const backendKey = (processId: number): Buffer => message('K', int32(processId), int32(0));

/** @param code SQLSTATE */
export const errorResponse = (severity: 'ERROR' | 'FATAL', code: string, text: string): Buffer =>
  message('E', `S${severity}`, `V${severity}`, `C${code}`, `M${text}`, Buffer.from([0]));

export const notification = (processId: number, channel: string, payload: string): Buffer =>
  message('A', int32(processId), channel, payload);

/** Reads a NotificationResponse. */
export function readNotification(bytes: Buffer): { readonly channel: string; readonly payload: string } {
  const [channel = '', payload = ''] = bytes.toString('utf8', HEAD_BYTES + 4).split('\0');
  return { channel, payload };
}

/** Reads the status of a ReadyForQuery. */
export const readStatus = (bytes: Buffer): TransactionStatus =>
  String.fromCharCode(bytes[HEAD_BYTES] ?? 0x49) as TransactionStatus;

/** The one message of a client that we make: what it begins with. */
export function startUp(user: string, database: string): Buffer {
  const body = Buffer.from(`user\0${user}\0database\0${database}\0\0`);
  return Buffer.concat([int32(body.length + 8), int32(196_608), body]);
}
