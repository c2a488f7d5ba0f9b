import type { JsonSchema } from '../message/json-schema.ts';
import type { BindSpec } from '../message/topology.ts';
import type { ProcessDescription } from '../process/description.ts';
import type { ConsumedMessage, SentMessage } from '../router/message-catalogue.ts';

/** What a process runs for its service. `app` has none of the others: it publishes, sends and calls. */
export const SERVICE_ROLES = ['consumer', 'publisher', 'worker', 'server', 'app'] as const;
export type ServiceRole = (typeof SERVICE_ROLES)[number];

/** A consumer of a service, and what it takes; where in its sources is nobody else's business. */
export type Consumed = Omit<ConsumedMessage, 'file'>;

export type Published = SentMessage;

export interface TaskBrief {
  readonly name: string;
  readonly description: string;
  /** What it takes. */
  readonly input: JsonSchema | undefined;
}

export type ProcessBrief = Pick<ProcessDescription, 'id' | 'name' | 'description' | 'tags' | 'input'>;

/** What a part of a process takes and gives. */
export interface Offer {
  /** Bindings of the queue: what no binding brings is not taken, whoever would. */
  readonly binds: readonly BindSpec[];
  readonly consumes: readonly Consumed[];
  readonly publishes: readonly Published[];
  readonly tasks: readonly TaskBrief[];
  readonly processes: readonly ProcessBrief[];
}

/** What a service tells of itself. */
export interface ServiceDescription extends Offer {
  /** Of the project: of its package.json; '' when it has none. */
  readonly version: string;
  /** The version of svc-comm. */
  readonly library: string;
  readonly host: string;
  readonly pid: number;
  /** When the process took up its first role: ISO 8601. */
  readonly since: string;
  readonly roles: readonly ServiceRole[];
  readonly queue: string;
  /** What was left out because the whole was too long, in words. */
  readonly omitted: readonly string[];
}

export const EMPTY_OFFER: Offer = Object.freeze({
  binds: Object.freeze([]),
  consumes: Object.freeze([]),
  publishes: Object.freeze([]),
  tasks: Object.freeze([]),
  processes: Object.freeze([]),
});
