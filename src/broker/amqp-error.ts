import { isError, messageOf } from '../util/thrown.ts';

/** AMQP 0-9-1 reply codes that we tell apart. */
export const REPLY = Object.freeze({
  contentTooLarge: 311,
  accessRefused: 403,
  notFound: 404,
  resourceLocked: 405,
  preconditionFailed: 406,
});

/** The broker's reply code, when the error is a channel or connection closed by the broker. */
export function replyCode(error: unknown): number | undefined {
  const code = isError(error) ? (error as { code?: unknown }).code : undefined;
  return typeof code === 'number' ? code : undefined;
}

const QUOTED = /with message "(.*)"$/s;
const CODE_NAME = /^[A-Z_]+ - /;

/** What the broker said, without amqplib's frame around it: `no exchange 'x' in vhost '/'`. */
export function brokerText(error: unknown): string {
  const message = messageOf(error);
  return (QUOTED.exec(message)?.[1] ?? message).replace(CODE_NAME, '');
}

/**
 * Whether a failed handshake means that the broker will not have us: wrong credentials, or a virtual host that does
 * not exist or is forbidden. amqplib gives no code here, and of a close in answer to `connection.open` only its name.
 */
export function isAccessRefused(error: unknown): boolean {
  const text = isError(error) ? error.message : '';
  return text.includes('ACCESS_REFUSED') || text.startsWith('Expected ConnectionOpenOk; got <ConnectionClose');
}

/** Why access was refused, in words that help. */
export function refusalText(error: unknown, vhost: string): string {
  return brokerText(error).startsWith('Expected ConnectionOpenOk')
    ? `it does not let us into virtual host "${vhost}", which does not exist or is not permitted to this user`
    : brokerText(error);
}
