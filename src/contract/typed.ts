import type { SendCallOptions } from '../call/call-sender.ts';
import type { CallOptions } from '../call/caller.ts';
import type { SendCommandOptions, SentCommand } from '../command/command-sender.ts';
import { ContractViolationError, InvalidArgumentError } from '../errors.ts';
import {
  assertSendable,
  type CallContract,
  type CommandContract,
  type Contract,
  type EventContract,
  type InputOf,
  isContract,
  nameOf,
  type OutputOf,
  type Schema,
  travelling,
  validateReceived,
} from '../message/contract.ts';
import { contractRegistry } from '../message/contract-registry.ts';
import type { AggregateEvent } from '../outbox/event-row.ts';
import type { PublishedEvent } from '../outbox/outbox.ts';
import type { TransactionOption } from '../outbox/transaction-choice.ts';
import { assertKnownNames, kindOf } from '../util/assert-object.ts';
import { asSent } from '../wire/as-sent.ts';
import { isJsonObject } from '../wire/envelope.ts';

/** What is said of an event besides its contract and payload. */
export interface ContractEventOptions extends TransactionOption {
  readonly key?: AggregateEvent['key'];
}

/** By names, or by a contract, which holds the payload to its schema. */
export interface PublishAggregateEvent {
  (event: AggregateEvent, options?: TransactionOption): Promise<PublishedEvent>;
  <S extends Schema>(
    contract: EventContract<S>,
    payload: InputOf<S>,
    options?: ContractEventOptions,
  ): Promise<PublishedEvent>;
}

/** By names, or by a contract, which holds the arguments to its schema. */
export interface SendCommand {
  (service: string, args?: object, options?: SendCommandOptions): Promise<SentCommand>;
  <S extends Schema>(
    contract: CommandContract<S>,
    args: InputOf<S>,
    options?: Omit<SendCommandOptions, 'commandName'>,
  ): Promise<SentCommand>;
}

/** By names, or by a contract, which holds question and answer to their schemas. */
export interface Call {
  <Result = unknown>(service: string, method: string, data: unknown, options?: CallOptions): Promise<Result>;
  <I extends Schema, O extends Schema>(
    contract: CallContract<I, O>,
    data: InputOf<I>,
    options?: CallOptions,
  ): Promise<OutputOf<O>>;
}

/** By names, or by a contract, which holds the question to its schema. */
export interface SendCall {
  (service: string, method: string, data: unknown, options?: SendCallOptions): Promise<string>;
  <I extends Schema, O extends Schema>(
    contract: CallContract<I, O>,
    data: InputOf<I>,
    options?: SendCallOptions,
  ): Promise<string>;
}

/**
 * An event by its contract, for those who publish several, or in the future.
 * @throws ContractViolationError (SVC_COMM_CONTRACT_VIOLATION) with the schema's own words
 * @example await publishAggregateEvents(await Promise.all(users.map((user) => eventOf(userUpdated, user, { key: user.id }))));
 */
export async function eventOf<S extends Schema>(
  contract: EventContract<S>,
  payload: InputOf<S>,
  options: Pick<ContractEventOptions, 'key'> = {},
): Promise<AggregateEvent<InputOf<S>>> {
  assertKnownNames('options', options, ['key']);
  const { key } = options;
  const { exchange: aggregate, routingKey: eventType } = ofKind(contract, 'event');
  return sending(contract, payload, async (sent) => ({ aggregate, eventType, payload: sent as InputOf<S>, key }));
}

export function byEventContract(
  publish: (event: AggregateEvent, options?: TransactionOption) => Promise<PublishedEvent>,
): PublishAggregateEvent {
  return async (...args: readonly unknown[]): Promise<PublishedEvent> => {
    const [first, payload, options] = args;
    if (!isContract(first)) return publish(first as AggregateEvent, payload as TransactionOption | undefined);
    const { key, ...others } = (options ?? {}) as ContractEventOptions;
    const contract = ofKind(first, 'event');
    const { exchange: aggregate, routingKey: eventType } = contract;
    return sending(contract, payload, (sent) => publish({ aggregate, eventType, payload: sent, key }, others));
  };
}

export function byCommandContract(
  send: (service: string, args?: object, options?: SendCommandOptions) => Promise<SentCommand>,
): SendCommand {
  return async (first: string | Contract, args?: unknown, options?: SendCommandOptions): Promise<SentCommand> => {
    if (!isContract(first)) return send(first, args as object | undefined, options);
    const contract = ofKind(first, 'command');
    return sending(contract, args, (sent) => {
      // Left out they would be taken for none, whatever the schema takes.
      if (!isJsonObject(sent)) throw new InvalidArgumentError('arguments', 'an object', kindOf(sent));
      return send(contract.exchange, sent, { ...options, commandName: contract.routingKey });
    });
  };
}

export function byCallContract(
  call: (service: string, method: string, data: unknown, options?: CallOptions) => Promise<unknown>,
): Call {
  const typed = async (first: string | Contract, ...others: readonly unknown[]): Promise<unknown> => {
    if (!isContract(first)) return call(first, ...(others as [string, unknown, CallOptions?]));
    const [data, options] = others as [unknown, CallOptions?];
    const contract = ofKind(first, 'call');
    const answer = await sending(contract, data, (sent) => call(contract.exchange, contract.routingKey, sent, options));
    const result = await validateReceived(contract.output, answer);
    if ('value' in result) return result.value;
    throw new ContractViolationError(`the answer to ${nameOf(contract)}`, result.issues);
  };
  return typed as Call;
}

export function bySendCallContract(
  send: (service: string, method: string, data: unknown, options?: SendCallOptions) => Promise<string>,
): SendCall {
  return async (first: string | Contract, ...others: readonly unknown[]): Promise<string> => {
    if (!isContract(first)) return send(first, ...(others as [string, unknown, SendCallOptions?]));
    const [data, options] = others as [unknown, SendCallOptions?];
    const contract = ofKind(first, 'call');
    return sending(contract, data, (sent) => send(contract.exchange, contract.routingKey, sent, options));
  };
}

/**
 * Hands over what the contract allows to be sent, as it was given: a schema that takes its time does not make it what
 * has become of it meanwhile. The catalogue of messages counts it as sent here.
 */
async function sending<T>(contract: Contract, value: unknown, send: (value: unknown) => Promise<T>): Promise<T> {
  let sent = value;
  const looking = assertSendable(contract, value);
  if (looking) {
    sent = asSent(value);
    await looking;
  }
  contractRegistry.noteSent(contract);
  return send(travelling(sent));
}

function ofKind<K extends Contract['kind']>(contract: Contract, kind: K): Extract<Contract, { kind: K }> {
  if (!isContract(contract)) throw new InvalidArgumentError('contract', `one of kind ${kind}`, kindOf(contract));
  if (contract.kind === kind) return contract as Extract<Contract, { kind: K }>;
  throw new InvalidArgumentError('contract', `one of kind ${kind}`, nameOf(contract));
}
