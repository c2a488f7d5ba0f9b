import { type JsonSchema, rerooted } from '../message/json-schema.ts';
import type { ConsumedKind, MessageContent } from '../router/message-catalogue.ts';

export type EnvelopeKind = ConsumedKind;

const TIME: JsonSchema = { type: 'string', format: 'date-time' };
const ID: JsonSchema = { type: 'string', format: 'uuid' };

/** The body of a message around what its contract says (docs/wire.md); undefined for what is taken as it is. */
export function enveloped(kind: EnvelopeKind, { schema = {} }: Pick<MessageContent, 'schema'>): JsonSchema | undefined {
  const inside = (pointer: string) => rerooted(schema, pointer);
  switch (kind) {
    case 'event': {
      const names = { eventType: { type: 'string' }, aggregate: { type: 'string' } };
      return object({ eventId: ID, eventTime: TIME, ...names, payload: inside('/properties/payload') });
    }
    case 'command':
      return { allOf: [inside('/allOf/0'), { type: 'object', properties: { meta: meta({}) } }] };
    case 'call':
      return object({
        id: ID,
        meta: meta({ time: TIME }, { replyTo: { type: 'string' } }),
        data: inside('/properties/data'),
      });
    case 'call-response':
      return replyEnvelope(undefined);
    case 'raw':
      return undefined;
    default:
      return kind satisfies never;
  }
}

/** The body of an answer. */
export function replyEnvelope(output: JsonSchema = {}): JsonSchema {
  const error = object({ code: { type: 'string' }, message: { type: 'string' } });
  const data = rerooted(output, '/properties/data');
  const answer = object({ id: ID, data, meta: object({ time: TIME }) });
  return { ...answer, properties: { ...(answer.properties as object), error } };
}

type Properties = Readonly<Record<string, JsonSchema>>;

/** Only with a deadline is there an expiredTime; a call that bears the property reply_to needs no replyTo. */
const meta = (required: Properties, optional: Properties = {}): JsonSchema => ({
  ...object(required),
  properties: {
    ...required,
    ...optional,
    expiredTime: { ...TIME, description: 'It is not executed any more then.' },
  },
});

const object = (properties: Properties): JsonSchema => ({
  type: 'object',
  properties,
  ...(Object.keys(properties).length === 0 ? {} : { required: Object.keys(properties) }),
});
