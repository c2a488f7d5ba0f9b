import { ContractViolationError, InvalidConsumerError, MalformedMessageError } from '../errors.ts';
import { type Contract, nameOf, type Schema, validate, validateReceived } from '../message/contract.ts';
import { callKind } from './call-consumer.ts';
import { commandKind } from './command-consumer.ts';
import { eventKind } from './event-consumer.ts';
import type { ConsumerKind, UserCall } from './kind.ts';

const KINDS = Object.freeze({ event: eventKind({}), command: commandKind({}), call: callKind({}) });

/**
 * The kind of a consumer that was registered by a contract: the contract's, with the options of `eventConsumer` and its
 * like where they were used.
 * @throws InvalidConsumerError when it was made a consumer of another kind
 */
export function contractedKind(given: ConsumerKind | undefined, contract: Contract): ConsumerKind {
  if (given === undefined) return KINDS[contract.kind];
  if (given.name === contract.kind) return given;
  throw new InvalidConsumerError(
    `a consumer of kind ${given.name}`,
    `the contract is of kind ${contract.kind} (${nameOf(contract)}); take ${given.name}Consumer away or register it by names`,
  );
}

/**
 * The user's function behind the contract: it gets what the schema made of the first argument, and of a call's contract
 * what it returns is held to the output.
 */
export function contractedCall(call: UserCall, contract: Contract): UserCall {
  return async (first, ...others) => {
    const value = await received(contract.schema, first, contract);
    const result = await call(value, ...others);
    if (contract.kind !== 'call') return result;
    const answer = await validate(contract.output, result);
    if ('issues' in answer) throw new ContractViolationError(`answer of ${nameOf(contract)}`, answer.issues);
    return result;
  };
}

/** @throws MalformedMessageError (reason `contract`), with the schema's own words: the message goes to the dead letters */
async function received(schema: Schema, data: unknown, contract: Contract): Promise<unknown> {
  const result = await validateReceived(schema, data);
  if ('value' in result) return result.value;
  const violation = new ContractViolationError(nameOf(contract), result.issues);
  throw new MalformedMessageError('contract', violation.message, { cause: violation });
}
