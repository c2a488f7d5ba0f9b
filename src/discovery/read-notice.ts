import type { BindSpec } from '../message/topology.ts';
import { CONSUMED_KINDS } from '../router/message-catalogue.ts';
import { ROUTE_LEVELS } from '../router/route.ts';
import { parseTopicPattern } from '../util/topic-pattern.ts';
import { decodeJson } from '../wire/json.ts';
import { type Announcement, type Beat, MAX_ANNOUNCEMENT_BYTES } from './announcement.ts';
import {
  type Consumed,
  type ProcessBrief,
  type Published,
  SERVICE_ROLES,
  type ServiceDescription,
  type TaskBrief,
} from './description.ts';
import { type Fields, fieldsOf, list, object, oneOf, text, wholeNumber } from './reading.ts';
import { INSTANCE_ID } from './topics.ts';

const LIMITS = Object.freeze({ bodyBytes: MAX_ANNOUNCEMENT_BYTES, depth: 48, keys: 50_000 });
const MOST_ENTRIES = 2_000;
const MOST_TEXT = 2_000;

/** A second to a minute: one that beats less often is given up for gone, one that beats more often floods. */
const EVERY = Object.freeze({ minMs: 1_000, maxMs: 60_000, otherwiseMs: 10_000 });

/** The fields of a notice. @throws MalformedMessageError (SVC_COMM_MALFORMED_MESSAGE) */
export const readFields = (body: Uint8Array): Fields => fieldsOf(decodeJson(body, LIMITS));

/** @returns undefined when it does not say who */
export function readInstance(fields: Fields): string | undefined {
  const { instance } = fields;
  return typeof instance === 'string' && INSTANCE_ID.test(instance) ? instance : undefined;
}

export function readBeat(fields: Fields): Beat | undefined {
  const instance = readInstance(fields);
  const name = text(fields.name);
  if (instance === undefined || name === '') return undefined;
  return {
    protocol: wholeNumber(fields.protocol, 1, 1_000_000, 1),
    instance,
    name,
    digest: text(fields.digest, 64),
    everyMs: wholeNumber(fields.everyMs, EVERY.minMs, EVERY.maxMs, EVERY.otherwiseMs),
    failing: list(fields.failing, SERVICE_ROLES.length, (role) => oneOf(SERVICE_ROLES, role)),
  };
}

export function readAnnouncement(fields: Fields): Announcement | undefined {
  const beat = readBeat(fields);
  return beat && { ...beat, description: readDescription(fieldsOf(fields.description)) };
}

function readDescription(fields: Fields): ServiceDescription {
  return {
    version: text(fields.version, 100),
    library: text(fields.library, 100),
    host: text(fields.host),
    pid: wholeNumber(fields.pid, 0, Number.MAX_SAFE_INTEGER, 0),
    since: readTime(fields.since),
    roles: list(fields.roles, SERVICE_ROLES.length, (role) => oneOf(SERVICE_ROLES, role)),
    queue: text(fields.queue),
    binds: list(fields.binds, MOST_ENTRIES, readBind),
    consumes: list(fields.consumes, MOST_ENTRIES, readConsumed),
    publishes: list(fields.publishes, MOST_ENTRIES, readPublished),
    tasks: list(fields.tasks, MOST_ENTRIES, readTask),
    processes: list(fields.processes, MOST_ENTRIES, readProcess),
    omitted: list(fields.omitted, 10, (what) => text(what) || undefined),
  };
}

function readTime(value: unknown): string {
  const time = Date.parse(text(value, 40));
  return Number.isNaN(time) ? '' : new Date(time).toISOString();
}

function readBind(value: unknown): BindSpec | undefined {
  const fields = fieldsOf(value);
  const pattern = readPattern(fields.pattern);
  const exchange = text(fields.exchange);
  return exchange === '' || pattern === undefined ? undefined : { exchange, pattern };
}

function readConsumed(value: unknown): Consumed | undefined {
  const fields = fieldsOf(value);
  const routingKey = readPattern(fields.routingKey);
  if (routingKey === undefined) return undefined;
  return {
    // What a later version has added takes what it takes, whatever it is called.
    kind: oneOf(CONSUMED_KINDS, fields.kind) ?? 'raw',
    exchange: text(fields.exchange) || undefined,
    routingKey,
    level: oneOf(ROUTE_LEVELS, fields.level) ?? 'pattern',
    handler: text(fields.handler),
    ...readContent(fields),
  };
}

function readPublished(value: unknown): Published | undefined {
  const fields = fieldsOf(value);
  const kind = oneOf(['event', 'command', 'call'], fields.kind);
  const exchange = text(fields.exchange);
  if (kind === undefined || exchange === '' || typeof fields.routingKey !== 'string') return undefined;
  const isSeen = fields.isSeen === true;
  return { kind, exchange, routingKey: text(fields.routingKey), isSeen, ...readContent(fields) };
}

const readContent = (fields: Fields) => ({
  description: text(fields.description, MOST_TEXT),
  schema: object(fields.schema),
  output: object(fields.output),
});

function readTask(value: unknown): TaskBrief | undefined {
  const fields = fieldsOf(value);
  const name = text(fields.name);
  return name === ''
    ? undefined
    : { name, description: text(fields.description, MOST_TEXT), input: object(fields.input) };
}

function readProcess(value: unknown): ProcessBrief | undefined {
  const fields = fieldsOf(value);
  const id = text(fields.id);
  if (id === '') return undefined;
  return {
    id,
    name: text(fields.name),
    description: text(fields.description, MOST_TEXT),
    tags: list(fields.tags, 100, (tag) => text(tag) || undefined),
    input: object(fields.input) ?? {},
  };
}

/** One that the broker would not take routes nothing. */
function readPattern(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  try {
    return parseTopicPattern(value).text;
  } catch {
    return undefined;
  }
}
