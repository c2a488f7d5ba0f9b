import type { Contract } from '../message/contract.ts';
import { type ContractRegistry, contractRegistry, type MessageName } from '../message/contract-registry.ts';
import { type JsonSchema, type JsonSchemaTarget, standardJsonSchema } from '../message/json-schema.ts';
import type { Route, RouteLevel } from './route.ts';
import type { MessageRouter } from './router.ts';

/** What is known of a message from its contract; without one, nothing but its names. */
export interface MessageContent {
  /** '' when nobody said. */
  readonly description: string;
  /** Of an event's payload, a command's arguments, a call's data; undefined when nobody said. */
  readonly schema: JsonSchema | undefined;
  /** Of a call's answer. */
  readonly output: JsonSchema | undefined;
}

export const CONSUMED_KINDS = ['event', 'command', 'call', 'call-response', 'raw'] as const;
export type ConsumedKind = (typeof CONSUMED_KINDS)[number];

/** A consumer and what it takes. */
export interface ConsumedMessage extends MessageContent {
  /** `raw`: whatever comes, as it is. */
  readonly kind: ConsumedKind;
  /** undefined: every exchange that the queue is bound to. */
  readonly exchange: string | undefined;
  /** A pattern with `*` and `#` as well; `#` for a whole exchange. */
  readonly routingKey: string;
  readonly level: RouteLevel;
  /** `Class.method`, or the function's name. */
  readonly handler: string;
  readonly file: string | undefined;
}

/** A message that leaves, by its contract. */
export interface SentMessage extends MessageContent, MessageName {
  /** Whether this process has sent one since it began; false: it has its contract, and may. */
  readonly isSeen: boolean;
}

/** What a service takes from others, and what it gives them. */
export interface MessageCatalogue {
  readonly consumed: readonly ConsumedMessage[];
  readonly sent: readonly SentMessage[];
}

export interface CatalogueOptions {
  /** @default the process's own */
  readonly contracts?: ContractRegistry;
  /** @default 'draft-2020-12' */
  readonly target?: JsonSchemaTarget;
}

/**
 * What a service takes and gives, of what is registered and declared at this moment; sorted by names.
 *
 * Taken is what has a route; one that was registered by names gets the schema of a contract of just those names. Given
 * is each contract of the process that the service does not take itself, and of those that it does, the ones that it was
 * seen to send. So a service that imports the contracts of all others is said to give what it never sends: `isSeen`
 * tells those apart. What is sent by names alone is not in it: no contract, no schema. Contracts with `*` or `#` cannot
 * be sent.
 */
export function messageCatalogue(
  router: Pick<MessageRouter, 'routes' | 'resolve'>,
  { contracts = contractRegistry, target = 'draft-2020-12' }: CatalogueOptions = {},
): MessageCatalogue {
  const contentOf = (contract: Contract | undefined) => content(contract, target);
  const consumed = router.routes.map((route): ConsumedMessage => {
    const { exchange, pattern: routingKey = '#', level, name: handler, file } = route;
    const kind = consumedKind(route);
    return { kind, exchange, routingKey, level, handler, file, ...contentOf(contractOf(route, contracts)) };
  });
  const sent = contracts.all
    .filter(({ routingKey }) => !/[*#]/.test(routingKey))
    .map((contract): SentMessage => {
      const { kind, exchange, routingKey } = contract;
      return { kind, exchange, routingKey, isSeen: contracts.isSent(contract), ...contentOf(contract) };
    })
    .filter((message) => message.isSeen || !isTaken(router, message));
  return { consumed: consumed.sort(byName), sent: sent.sort(byName) };
}

/** By a consumer of this exchange; one of every exchange takes what is there, and says nothing of who owns it. */
const isTaken = (router: Pick<MessageRouter, 'resolve'>, { kind, exchange, routingKey }: MessageName): boolean => {
  const route = router.resolve(exchange, routingKey);
  return route?.exchange === exchange && (route.kind === kind || route.kind === 'raw');
};

function contractOf({ contract, exchange, pattern, kind }: Route, contracts: ContractRegistry): Contract | undefined {
  if (contract || exchange === undefined || pattern === undefined) return contract;
  return isContractKind(kind) ? contracts.find({ kind, exchange, routingKey: pattern }) : undefined;
}

const isContractKind = (kind: string): kind is Contract['kind'] =>
  kind === 'event' || kind === 'command' || kind === 'call';

const consumedKind = ({ kind }: Route): ConsumedKind => CONSUMED_KINDS.find((known) => known === kind) ?? 'raw';

function content(contract: Contract | undefined, target: JsonSchemaTarget): MessageContent {
  if (!contract) return { description: '', schema: undefined, output: undefined };
  const schema = contract.jsonSchema ?? standardJsonSchema(contract.schema, target);
  const described = typeof schema?.description === 'string' ? schema.description : '';
  return { description: contract.description ?? described, schema, output: outputOf(contract, target) };
}

const outputOf = (contract: Contract, target: JsonSchemaTarget): JsonSchema | undefined =>
  contract.kind === 'call' ? (contract.outputJsonSchema ?? standardJsonSchema(contract.output, target)) : undefined;

type Sortable = Pick<ConsumedMessage, 'kind' | 'exchange' | 'routingKey'>;

/** Those of every exchange last. */
const byName = (a: Sortable, b: Sortable): number =>
  Number(a.exchange === undefined) - Number(b.exchange === undefined) ||
  compare(a.exchange ?? '', b.exchange ?? '') ||
  compare(a.routingKey, b.routingKey) ||
  compare(a.kind, b.kind);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
