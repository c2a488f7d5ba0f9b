import { unescape as unescaped } from 'node:querystring';
import { type JsonSchema, rerooted } from '../message/json-schema.ts';
import { BUILT_IN_EXCHANGES, type ExchangeType } from '../message/topology.ts';
import type { ConsumedMessage, MessageCatalogue, MessageContent } from '../router/message-catalogue.ts';
import { type EnvelopeKind, enveloped, replyEnvelope } from './envelope.ts';
import { exampleOf } from './example.ts';

export interface AsyncApiOptions {
  readonly title: string;
  readonly version: string;
  readonly description?: string | undefined;
  /** AMQP URLs; what is secret in them is left out. */
  readonly brokerUrls?: readonly string[] | undefined;
  /** Types of the exchanges that are none of topic. @default {} */
  readonly exchangeTypes?: Readonly<Record<string, ExchangeType>> | undefined;
}

type Json = Readonly<Record<string, unknown>>;
type Action = 'send' | 'receive';

interface Entry extends MessageContent {
  readonly action: Action;
  readonly kind: EnvelopeKind;
  readonly exchange: string;
  readonly routingKey: string;
  readonly handlers: readonly string[];
}

/**
 * An AsyncAPI 3.0 document (https://www.asyncapi.com/docs/reference/specification/v3.0.0) of what a service takes and
 * gives. A channel's address is the routing key, its AMQP binding names the exchange; bodies are as they travel, in
 * their envelope. Consumers of every exchange have no channel.
 * @param catalogue with schemas of draft 07, which AsyncAPI's are a superset of
 */
export function asyncApiDocument(catalogue: MessageCatalogue, options: AsyncApiOptions): object {
  const { title, version, description, brokerUrls = [], exchangeTypes = {} } = options;
  const writer = new AsyncApiWriter(vhostOf(brokerUrls), exchangeTypes);
  for (const entry of entriesOf(catalogue)) writer.add(entry);
  return {
    asyncapi: '3.0.0',
    info: { title, version, ...(description === undefined ? {} : { description }) },
    defaultContentType: 'application/json',
    ...serversOf(brokerUrls),
    ...writer.parts(),
  };
}

class AsyncApiWriter {
  readonly #channels: Record<string, Json> = {};
  readonly #operations: Record<string, Json> = {};
  readonly #messages: Record<string, Json> = {};
  readonly #schemas: Record<string, Json> = {};
  readonly #vhost: string;
  readonly #exchangeTypes: Readonly<Record<string, ExchangeType>>;

  constructor(vhost: string, exchangeTypes: Readonly<Record<string, ExchangeType>>) {
    this.#vhost = vhost;
    this.#exchangeTypes = exchangeTypes;
  }

  parts(): Json {
    const { schemas, messages } = { schemas: this.#schemas, messages: this.#messages };
    return { channels: this.#channels, operations: this.#operations, components: { messages, schemas } };
  }

  add(entry: Entry): void {
    const { action, kind, exchange, routingKey, handlers, description } = entry;
    const channel = this.#channel(entry);
    const id = free(this.#operations, `${action}.${kind}.${exchange}.${routingKey}`);
    this.#operations[id] = {
      action,
      title: `${exchange} ${routingKey}`.trim(),
      ...(description === '' ? {} : { description }),
      ...(handlers.length === 0 ? {} : { summary: `Handled by ${handlers.join(', ')}` }),
      channel: { $ref: `#/channels/${channel}` },
      messages: [{ $ref: `#/channels/${channel}/messages/message` }],
      tags: [{ name: kind }],
      ...(action === 'send'
        ? { bindings: { amqp: { deliveryMode: 2, mandatory: true, bindingVersion: '0.3.0' } } }
        : {}),
      ...(kind === 'call' ? { reply: this.#reply(entry) } : {}),
    };
  }

  #channel({ kind, exchange, routingKey, ...content }: Entry): string {
    const id = free(this.#channels, `${kind}.${exchange}.${routingKey}`);
    const amqp = {
      is: 'routingKey',
      exchange: { name: exchange, type: this.#typeOf(exchange), durable: true, autoDelete: false, vhost: this.#vhost },
      bindingVersion: '0.3.0',
    };
    const message = this.#message(`${kind}.${exchange}.${routingKey}`, content.description, enveloped(kind, content));
    this.#channels[id] = {
      address: routingKey,
      title: `${exchange} ${routingKey}`.trim(),
      messages: { message },
      bindings: { amqp },
    };
    return id;
  }

  #typeOf(exchange: string): ExchangeType | 'default' {
    if (exchange === '') return 'default';
    const builtIn = BUILT_IN_EXCHANGES.get(exchange);
    if (builtIn) return builtIn;
    return Object.hasOwn(this.#exchangeTypes, exchange) ? (this.#exchangeTypes[exchange] ?? 'topic') : 'topic';
  }

  /** Answers go to the AMQP property `reply_to`, else to the exchange that the call names. */
  #reply({ exchange, routingKey, output }: Entry): Json {
    const channel = free(this.#channels, `answer.${exchange}.${routingKey}`);
    const message = this.#message(`answer.${exchange}.${routingKey}`, '', replyEnvelope(output));
    this.#channels[channel] = { address: null, title: `Answer of ${exchange} ${routingKey}`, messages: { message } };
    return {
      address: {
        location: '$message.payload#/meta/replyTo',
        description:
          'An exchange, with routing key call-response.<service>.<method>; or the property reply_to, when it is set',
      },
      channel: { $ref: `#/channels/${channel}` },
      messages: [{ $ref: `#/channels/${channel}/messages/message` }],
    };
  }

  #message(name: string, description: string, payload: JsonSchema | undefined): Json {
    const id = free(this.#messages, name);
    let content: Json = {};
    if (payload) {
      const schema = free(this.#schemas, name);
      this.#schemas[schema] = rerooted(payload, `/components/schemas/${schema}`);
      content = { payload: { $ref: `#/components/schemas/${schema}` }, examples: [{ payload: exampleOf(payload) }] };
    }
    this.#messages[id] = {
      name,
      ...(description === '' ? {} : { summary: description }),
      contentType: 'application/json',
      ...content,
    };
    return { $ref: `#/components/messages/${id}` };
  }
}

function entriesOf({ consumed, sent }: MessageCatalogue): Entry[] {
  return [
    ...consumed.flatMap((message): Entry[] => {
      const { exchange, kind } = message;
      return exchange === undefined
        ? []
        : [{ ...message, action: 'receive', exchange, kind, handlers: handlersOf(message) }];
    }),
    ...sent.map((message): Entry => ({ ...message, action: 'send', handlers: [] })),
  ];
}

const handlersOf = ({ handler }: ConsumedMessage): readonly string[] => [handler];

/** Names of components are letters, digits, `.`, `-` and `_`; two that become one are told apart by a number. */
function free(taken: Json, name: string): string {
  const id = name
    .replaceAll('*', 'any')
    .replaceAll('#', 'all')
    .replaceAll(/[^\w.-]/g, '_')
    .replace(/\.+$/, '');
  if (!Object.hasOwn(taken, id)) return id;
  for (let n = 2; ; n += 1) if (!Object.hasOwn(taken, `${id}-${n}`)) return `${id}-${n}`;
}

const isBroker = (url: string): boolean => URL.canParse(url) && /^amqps?:/.test(url);

/** The nodes of a cluster have the same. */
function vhostOf(urls: readonly string[]): string {
  const url = urls.find(isBroker);
  return url === undefined ? '/' : unescaped(new URL(url).pathname.slice(1)) || '/';
}

function serversOf(urls: readonly string[]): Json {
  const servers = urls.filter(isBroker).map((url, index) => {
    const { protocol, host, pathname } = new URL(url);
    const name = urls.length === 1 ? 'broker' : `broker${index + 1}`;
    return [
      name,
      {
        host,
        protocol: protocol.slice(0, -1),
        protocolVersion: '0.9.1',
        ...(pathname.length > 1 ? { pathname } : {}),
      },
    ];
  });
  return servers.length === 0 ? {} : { servers: Object.fromEntries(servers) };
}
