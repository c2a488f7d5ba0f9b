import { BASIC_METHODS } from './basic-methods.ts';
import type { Channel } from './channel.ts';
import { EXCHANGE_METHODS } from './exchange-methods.ts';
import type { Method, MethodArguments, MethodName } from './method-table.ts';
import { MODE_METHODS } from './mode-methods.ts';
import { ProtocolError } from './protocol-error.ts';
import { QUEUE_METHODS } from './queue-methods.ts';

/** What a channel does at each method that a client may send on it. */
export type MethodHandlers = {
  readonly [Name in MethodName]?: (channel: Channel, args: MethodArguments<Name>) => void;
};

const HANDLERS: MethodHandlers = Object.freeze({
  ...EXCHANGE_METHODS,
  ...QUEUE_METHODS,
  ...BASIC_METHODS,
  ...MODE_METHODS,
});

/** @throws ProtocolError 503 for a method that only a server sends, or one of the connection */
export function callMethod(channel: Channel, method: Method): void {
  call(channel, method.name, method.args);
}

function call<Name extends MethodName>(channel: Channel, name: Name, args: MethodArguments<Name>): void {
  const handler = HANDLERS[name];
  if (!handler) throw new ProtocolError('COMMAND_INVALID', 'unimplemented method');
  handler(channel, args);
}
